// SPDX-License-Identifier: GPL-2.0-or-later
// The newest picture of a ring as a texture.
#pragma once

#include "ring.h"

#include <graphics/graphics.h>

struct picture {
	gs_texture_t *texture; // NULL before the first; the last good one from then on
	uint64_t kind;         // enum ring_kind
	double time;           // when its light became pixels, in seconds of the monotonic clock
	uint64_t came;         // when it was first seen, in nanoseconds of the same clock; 0 before the first
	gs_texture_t *spare;
};

// Upload what is new; true if something was. In the graphics context.
bool picture_take(struct picture *picture, struct ring *ring);

// Seconds since a new picture came; very many before the first.
double picture_age(const struct picture *picture);

// In the graphics context.
void picture_free(struct picture *picture);

// Draw a texture that is not premultiplied with OBS's effect, in the colour space OBS works in.
void picture_draw(gs_texture_t *texture, gs_effect_t *effect, uint32_t width, uint32_t height);
