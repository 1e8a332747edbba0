// SPDX-License-Identifier: GPL-2.0-or-later
// The pictures of a filter on the graphics card: what it filters, the same for the ring, and the mixture that is shown.
#pragma once

#include <obs-module.h>

struct mixer {
	gs_effect_t *effect;
	gs_texrender_t *dry;   // what the filter filters, premultiplied
	gs_texrender_t *plain; // the same, not premultiplied, as a ring wants it
	bool opaque;           // nothing in it was transparent lately: there is a shorter way to the same picture
};

// All in the graphics context.
bool mixer_create(struct mixer *mixer);
void mixer_free(struct mixer *mixer);

// Render what `filter` filters. NULL if there is nothing.
gs_texture_t *mixer_capture(struct mixer *mixer, obs_source_t *filter, uint32_t width, uint32_t height);

// The captured picture, not premultiplied.
gs_texture_t *mixer_plain(struct mixer *mixer, uint32_t width, uint32_t height);

// Draw `share` of the answer over the captured picture; all of the latter if the answer is NULL.
// cut: the answer is only seen where the captured picture is.
void mixer_draw(struct mixer *mixer, gs_texture_t *answer, float share, bool cut, uint32_t width, uint32_t height);
