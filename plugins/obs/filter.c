// SPDX-License-Identifier: GPL-2.0-or-later
// The filter "Latentcast effect": sends what it filters into a ring, and shows the engine's answer in its place.
#include "filter.h"

#include "kin.h"
#include "plugin.h"

#include <util/platform.h>
#include <util/profiler.h>

#include <stdio.h>
#include <string.h>

#define ANSWER_AGE_MAX 1.0 // seconds without news from the engine before the source itself is shown

static const char *filter_name(void *type)
{
	UNUSED_PARAMETER(type);
	return "Latentcast effect";
}

static void filter_defaults(obs_data_t *settings)
{
	obs_data_set_default_bool(settings, "cut", true);
	obs_data_set_default_int(settings, "rate", 30);
	controls_defaults(settings);
}

// Keep the rings of last time, and the keys, unless a filter that is there already has them, as after copying one.
static void settle_names(struct filter *filter, obs_data_t *settings)
{
	const char *saved = obs_data_get_string(settings, "ring");
	if ((filter->claimed = names_claim(saved))) {
		snprintf(filter->wishes.ring, sizeof(filter->wishes.ring), "%s", saved);
		return;
	}
	struct lane lane;
	names_choose(&lane, obs_source_get_name(filter->self));
	filter->claimed = *lane.ring;
	snprintf(filter->wishes.ring, sizeof(filter->wishes.ring), "%s", lane.ring);
	obs_data_set_string(settings, "ring", lane.ring);
	obs_data_set_string(settings, "answer", lane.answer);
	obs_data_set_int(settings, "port", FIRST_PORT + 10 * lane.place);
	hotkeys_clear_keys(settings);
}

static void change_ring(struct filter *filter, const char *ring)
{
	if (strcmp(ring, filter->wishes.ring) == 0)
		return;
	if (filter->claimed)
		names_release(filter->wishes.ring);
	snprintf(filter->wishes.ring, sizeof(filter->wishes.ring), "%s", ring);
	filter->claimed = names_claim(filter->wishes.ring);
}

// OBS's button Defaults forgets all there is, and no two filters have the same rings by default.
static void keep_rings(struct filter *filter, obs_data_t *settings)
{
	if (obs_data_has_user_value(settings, "ring"))
		return;
	obs_data_set_string(settings, "ring", filter->wishes.ring);
	obs_data_set_string(settings, "answer", filter->wishes.answer);
	obs_data_set_int(settings, "port", filter->controls.port);
	obs_source_update_properties(filter->self);
}

// Sliders keep to their ends; what sets a filter by OBS's remote control need not.
static double clamped(double value, double low, double high)
{
	return value > low ? (value < high ? value : high) : low;
}

static void filter_update(void *data, obs_data_t *settings)
{
	struct filter *filter = data;
	char command[400];
	keep_rings(filter, settings);
	pthread_mutex_lock(&filter->mutex);
	struct filter_wishes *wishes = &filter->wishes;
	change_ring(filter, obs_data_get_string(settings, "ring"));
	snprintf(wishes->answer, sizeof(wishes->answer), "%s", obs_data_get_string(settings, "answer"));
	wishes->share = (float)clamped(obs_data_get_double(settings, "mix"), 0, 1);
	wishes->cut = obs_data_get_bool(settings, "cut");
	wishes->rate = clamped((double)obs_data_get_int(settings, "rate"), 1, 60);
	filter_command(wishes, (int)obs_data_get_int(settings, "port"), command, sizeof(command));
	pthread_mutex_unlock(&filter->mutex);
	if (strcmp(command, obs_data_get_string(settings, "command")) != 0) // another thread may read the settings
		obs_data_set_string(settings, "command", command);
	controls_update(&filter->controls, settings);
}

static void free_graphics(struct filter *filter)
{
	obs_enter_graphics();
	mixer_free(&filter->mixer);
	stage_free(&filter->stage);
	picture_free(&filter->answer);
	obs_leave_graphics();
}

static void end_threads(struct filter *filter)
{
	os_task_queue_destroy(filter->errands);
	keeper_destroy(filter->out);
	keeper_destroy(filter->in);
}

static void *filter_create(obs_data_t *settings, obs_source_t *self)
{
	struct filter *filter = bzalloc(sizeof(*filter));
	filter->self = self;
	filter->out = keeper_create();
	filter->in = keeper_create();
	filter->errands = os_task_queue_create();
	if (!filter->out || !filter->in || !filter->errands) {
		end_threads(filter);
		bfree(filter);
		return NULL;
	}
	pthread_mutex_init(&filter->mutex, NULL);
	settle_names(filter, settings);
	controls_create(&filter->controls, self, settings, "mix");
	obs_enter_graphics();
	filter->works = mixer_create(&filter->mixer);
	obs_leave_graphics();
	filter_update(filter, settings);
	return filter;
}

static void filter_destroy(void *data)
{
	struct filter *filter = data;
	end_threads(filter);
	controls_destroy(&filter->controls);
	free_graphics(filter);
	if (filter->claimed)
		names_release(filter->wishes.ring);
	pthread_mutex_destroy(&filter->mutex);
	bfree(filter);
}

static void filter_remove(void *data, obs_source_t *parent)
{
	UNUSED_PARAMETER(data);
	kin_part(parent);
}

static void filter_save(void *data, obs_data_t *settings)
{
	struct filter *filter = data;
	hotkeys_save(&filter->controls.hotkeys, settings);
}

static void follow_parent(struct filter *filter)
{
	obs_source_t *parent = kin_parent(filter->self);
	hotkeys_follow(&filter->controls.hotkeys, parent, filter->errands);
	obs_source_release(parent);
}

static void filter_tick(void *data, float seconds)
{
	struct filter *filter = data;
	controls_tick(&filter->controls, seconds);
	follow_parent(filter);
	pthread_mutex_lock(&filter->mutex);
	filter->now = filter->wishes;
	if (!filter->claimed) // whoever has the name may have gone
		filter->claimed = names_claim(filter->wishes.ring);
	const bool claimed = filter->claimed;
	pthread_mutex_unlock(&filter->mutex);

	kin_size(filter->self, &filter->width, &filter->height);
	if (filter->width && filter->height)
		keeper_write(filter->out, claimed ? filter->now.ring : "", filter->width, filter->height);
	keeper_read(filter->in, filter->now.answer);
	keeper_follow(filter->out);
	keeper_follow(filter->in);
	filter->captured = false;
}

// Whether a picture of this moment is to be sent, so that there are at most `rate` a second, evenly.
static bool is_due(struct filter *filter, double time)
{
	const double period = 1.0 / filter->now.rate;
	if (time < filter->due - period / 4)
		return false;
	filter->due += period;
	if (filter->due < time)
		filter->due = time + period / 2;
	return true;
}

static bool send(struct filter *filter, gs_texture_t *dry)
{
	static const char read_back[] = "latentcast_read_back";
	const struct ring *ring = filter->ring;
	const double time = (double)obs_get_video_frame_time() * 1e-9;
	if (!ring || ring->width != filter->width || ring->height != filter->height)
		return false;
	if (!is_due(filter, time))
		return true;
	struct staged picture = {.texture = dry,
				 .multiplied = true,
				 .time = time,
				 .period = 1.0 / filter->now.rate,
				 .index = filter->index++};
	if (!filter->mixer.opaque) {
		picture.texture = mixer_plain(&filter->mixer, filter->width, filter->height);
		picture.multiplied = false;
	}
	profile_start(read_back);
	if (picture.texture)
		stage_send(&filter->stage, filter->ring, &picture);
	profile_end(read_back);
	return picture.texture != NULL;
}

// The engine's picture, if it is one, and new enough to be shown.
static gs_texture_t *answer(struct filter *filter)
{
	const struct picture *picture = &filter->answer;
	picture_take(&filter->answer, filter->answer_ring);
	const bool shown = picture->kind != RING_INPUT && picture->kind != RING_NO_INPUT;
	const bool there = filter->answer_ring && picture_age(picture) < ANSWER_AGE_MAX;
	return shown && there ? picture->texture : NULL;
}

static void tell(struct filter *filter, bool sending, bool showing)
{
	const struct picture *picture = &filter->answer;
	pthread_mutex_lock(&filter->mutex);
	filter->news = (struct filter_news){
		.rendered = os_gettime_ns(),
		.width = filter->width,
		.height = filter->height,
		.sending = sending,
		.showing = showing,
		.delay = (double)picture->came * 1e-9 - picture->time,
	};
	pthread_mutex_unlock(&filter->mutex);
}

// A source may be drawn several times for one frame: on program, in the preview, in a projector.
static bool capture_once(struct filter *filter)
{
	if (filter->captured)
		return true;
	filter->mixer.opaque = stage_is_opaque(&filter->stage);
	gs_texture_t *dry = mixer_capture(&filter->mixer, filter->self, filter->width, filter->height);
	if (!dry)
		return false;
	filter->captured = true;
	const bool sending = send(filter, dry);
	tell(filter, sending, answer(filter) != NULL);
	return true;
}

static void render(struct filter *filter)
{
	if (!obs_filter_get_parent(filter->self))
		return; // OBS's functions for filters take for granted that there is one
	if (!filter->width || !filter->height || !filter->works || !capture_once(filter)) {
		obs_source_skip_video_filter(filter->self);
		return;
	}
	mixer_draw(&filter->mixer, answer(filter), filter->now.share, filter->now.cut, filter->width, filter->height);
}

static void filter_render(void *data, gs_effect_t *effect)
{
	static const char scope[] = "latentcast_filter"; // in the profile at the end of OBS's log
	struct filter *filter = data;
	UNUSED_PARAMETER(effect);
	profile_start(scope);
	filter->ring = keeper_borrow(filter->out);
	filter->answer_ring = keeper_borrow(filter->in);
	render(filter);
	keeper_return(filter->in);
	keeper_return(filter->out);
	profile_end(scope);
}

static enum gs_color_space filter_color_space(void *data, size_t count, const enum gs_color_space *preferred)
{
	UNUSED_PARAMETER(data);
	UNUSED_PARAMETER(count);
	UNUSED_PARAMETER(preferred);
	return GS_CS_SRGB; // rings hold eight bits a channel
}

struct obs_source_info latentcast_filter = {
	.id = "latentcast_filter",
	.type = OBS_SOURCE_TYPE_FILTER,
	.output_flags = OBS_SOURCE_VIDEO | OBS_SOURCE_SRGB,
	.get_name = filter_name,
	.create = filter_create,
	.destroy = filter_destroy,
	.filter_remove = filter_remove,
	.get_defaults = filter_defaults,
	.get_properties = filter_properties,
	.update = filter_update,
	.save = filter_save,
	.video_tick = filter_tick,
	.video_render = filter_render,
	.video_get_color_space = filter_color_space,
};
