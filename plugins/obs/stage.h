// SPDX-License-Identifier: GPL-2.0-or-later
// Pictures from the graphics card into a ring, without waiting for the card.
#pragma once

#include "ring.h"

#include <graphics/graphics.h>

enum { SURFACES = 3 };

// A picture on its way; `texture` is of the ring's size.
struct staged {
	gs_texture_t *texture;
	bool multiplied; // premultiplied: fit for a ring only if nothing in it is transparent
	double time;     // 0: none
	double period;   // seconds between two pictures, at least
	uint64_t index;
};

struct stage {
	gs_stagesurf_t *surfaces[SURFACES];
	struct staged held[SURFACES]; // what is in each; its texture may be gone
	int turn;                     // the surface for the next picture
	int late;                     // how many pictures later one is read; below SURFACES
	int slow;                     // how many of the last pictures had to be waited for
	int opaque;                   // how many pictures in a row were
};

// Whether the last pictures were all opaque, so that a premultiplied one is as good as one that is not.
bool stage_is_opaque(const struct stage *stage);

// Put a picture into the ring, or one from a little before. In the graphics context.
void stage_send(struct stage *stage, struct ring *ring, const struct staged *picture);

// In the graphics context.
void stage_free(struct stage *stage);
