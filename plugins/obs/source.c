// SPDX-License-Identifier: GPL-2.0-or-later
// The source "Latentcast": shows any ring by its name.
#include "controls.h"
#include "keeper.h"
#include "picture.h"
#include "plugin.h"
#include "slate.h"
#include "status.h"

#include <util/profiler.h>

#include <stdio.h>
#include <string.h>

struct source {
	obs_source_t *self;
	struct keeper *keeper;
	struct controls controls;
	uint8_t *slate_pixels;

	pthread_mutex_t mutex; // guards these, for moments
	double hold;           // seconds the last picture stays when no new one comes

	// of whoever is in the graphics context: a screenshot is rendered on a thread of its own
	struct picture picture;
	gs_texture_t *slate;
	uint32_t width, height;
};

static const char *source_name(void *type)
{
	UNUSED_PARAMETER(type);
	return "Latentcast";
}

static void source_defaults(obs_data_t *settings)
{
	obs_data_set_default_string(settings, "ring", RING_PUBLIC);
	obs_data_set_default_double(settings, "hold", 3.0);
	controls_defaults(settings);
}

static void source_update(void *data, obs_data_t *settings)
{
	struct source *source = data;
	keeper_read(source->keeper, obs_data_get_string(settings, "ring"));
	pthread_mutex_lock(&source->mutex);
	source->hold = obs_data_get_double(settings, "hold");
	pthread_mutex_unlock(&source->mutex);
	controls_update(&source->controls, settings);
}

static void *source_create(obs_data_t *settings, obs_source_t *self)
{
	struct keeper *keeper = keeper_create();
	if (!keeper)
		return NULL;
	struct source *source = bzalloc(sizeof(*source));
	source->self = self;
	source->keeper = keeper;
	source->width = SLATE_WIDTH;
	source->height = SLATE_HEIGHT;
	source->slate_pixels = bmalloc(SLATE_WIDTH * SLATE_HEIGHT * 4);
	slate_paint(source->slate_pixels);
	pthread_mutex_init(&source->mutex, NULL);
	controls_create(&source->controls, self, settings, "");
	hotkeys_register(&source->controls.hotkeys, self);
	source_update(source, settings);
	return source;
}

static void source_destroy(void *data)
{
	struct source *source = data;
	controls_destroy(&source->controls);
	obs_enter_graphics();
	picture_free(&source->picture);
	gs_texture_destroy(source->slate);
	obs_leave_graphics();
	keeper_destroy(source->keeper);
	pthread_mutex_destroy(&source->mutex);
	bfree(source->slate_pixels);
	bfree(source);
}

static void source_tick(void *data, float seconds)
{
	struct source *source = data;
	controls_tick(&source->controls, seconds);
	const struct ring *ring = keeper_follow(source->keeper);
	if (ring) {
		source->width = ring->width;
		source->height = ring->height;
	}
}

static gs_texture_t *slate(struct source *source)
{
	const uint8_t *pixels = source->slate_pixels;
	if (!source->slate)
		source->slate = gs_texture_create(SLATE_WIDTH, SLATE_HEIGHT, GS_RGBA, 1, &pixels, 0);
	return source->slate;
}

static void source_render(void *data, gs_effect_t *effect)
{
	static const char scope[] = "latentcast_upload"; // in the profile at the end of OBS's log
	struct source *source = data;
	pthread_mutex_lock(&source->mutex);
	const double hold = source->hold;
	pthread_mutex_unlock(&source->mutex);
	profile_start(scope);
	picture_take(&source->picture, keeper_borrow(source->keeper));
	keeper_return(source->keeper);
	profile_end(scope);
	const bool fresh = source->picture.texture && picture_age(&source->picture) <= hold;
	picture_draw(fresh ? source->picture.texture : slate(source), effect, source->width, source->height);
}

static uint32_t source_width(void *data)
{
	return ((struct source *)data)->width;
}

static uint32_t source_height(void *data)
{
	return ((struct source *)data)->height;
}

static void add_ring(const char *name, void *list)
{
	if (ring_exists(name))
		obs_property_list_add_string(list, name, name);
}

static void status(struct source *source, char *text, size_t size)
{
	char trouble[RING_REASON];
	keeper_trouble(source->keeper, trouble);
	if (*trouble)
		snprintf(text, size, "%s.", trouble);
	else
		snprintf(text, size, "Shows %ux%u.", source->width, source->height);
}

static bool look_again(obs_properties_t *properties, obs_property_t *button, void *data)
{
	UNUSED_PARAMETER(button);
	char text[2 * RING_REASON];
	status(data, text, sizeof(text));
	return status_say(properties, text);
}

static obs_properties_t *source_properties(void *data)
{
	obs_properties_t *properties = obs_properties_create();
	obs_property_t *list = obs_properties_add_list(properties, "ring", "Ring", OBS_COMBO_TYPE_EDITABLE,
						       OBS_COMBO_FORMAT_STRING);
	obs_property_set_long_description(list, "Where the pictures come from; latentcast-out is the finished picture");
	if (!ring_exists(RING_PUBLIC))
		obs_property_list_add_string(list, RING_PUBLIC, RING_PUBLIC);
	segment_list(add_ring, list);
	obs_properties_add_float_slider(properties, "hold", "Hold the last picture (s)", 0, 60, 0.5);
	if (data)
		status_properties(properties, look_again, data);
	controls_properties(properties);
	return properties;
}

struct obs_source_info latentcast_source = {
	.id = "latentcast_source",
	.type = OBS_SOURCE_TYPE_INPUT,
	.output_flags = OBS_SOURCE_VIDEO | OBS_SOURCE_SRGB,
	.icon_type = OBS_ICON_TYPE_CUSTOM,
	.get_name = source_name,
	.create = source_create,
	.destroy = source_destroy,
	.get_width = source_width,
	.get_height = source_height,
	.get_defaults = source_defaults,
	.get_properties = source_properties,
	.update = source_update,
	.video_tick = source_tick,
	.video_render = source_render,
};
