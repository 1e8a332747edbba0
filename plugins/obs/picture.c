// SPDX-License-Identifier: GPL-2.0-or-later
#include "picture.h"

#include <util/platform.h>

enum { TRIES = 3 }; // to read a picture that the writer came over

static bool fits(gs_texture_t *texture, uint32_t width, uint32_t height)
{
	return texture && gs_texture_get_width(texture) == width && gs_texture_get_height(texture) == height;
}

// Copy the newest picture into the spare texture.
static bool upload(struct picture *picture, struct ring *ring, struct ring_picture *read)
{
	if (!fits(picture->spare, ring->width, ring->height)) {
		gs_texture_destroy(picture->spare);
		picture->spare = gs_texture_create(ring->width, ring->height, GS_RGBA, 1, NULL, GS_DYNAMIC);
	}
	if (!picture->spare)
		return false;
	gs_texture_set_image(picture->spare, read->pixels, ring->width * 4, false);
	return ring_was_whole(ring, read);
}

bool picture_take(struct picture *picture, struct ring *ring)
{
	struct ring_picture read;
	bool whole = false;
	for (int try = 0; ring && try < TRIES && !whole && ring_newest(ring, &read); try++)
		whole = upload(picture, ring, &read);
	if (!whole)
		return false;
	gs_texture_t *last = picture->texture;
	picture->texture = picture->spare;
	picture->spare = last;
	picture->kind = read.kind;
	picture->time = read.time;
	picture->came = os_gettime_ns();
	return true;
}

double picture_age(const struct picture *picture)
{
	return picture->came ? (double)(os_gettime_ns() - picture->came) * 1e-9 : 1e9;
}

void picture_free(struct picture *picture)
{
	gs_texture_destroy(picture->texture);
	gs_texture_destroy(picture->spare);
	*picture = (struct picture){0};
}

void picture_draw(gs_texture_t *texture, gs_effect_t *effect, uint32_t width, uint32_t height)
{
	gs_eparam_t *image = effect ? gs_effect_get_param_by_name(effect, "image") : NULL;
	if (!texture || !image)
		return;
	const bool linear = gs_get_linear_srgb();
	const bool previous = gs_framebuffer_srgb_enabled();
	gs_enable_framebuffer_srgb(linear);
	if (linear)
		gs_effect_set_texture_srgb(image, texture);
	else
		gs_effect_set_texture(image, texture);
	gs_draw_sprite(texture, 0, width, height);
	gs_enable_framebuffer_srgb(previous);
}
