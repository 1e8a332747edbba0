// SPDX-License-Identifier: GPL-2.0-or-later
// Pictures from the graphics card into a ring, without waiting for the card.
#pragma once

#include "ring.h"

#include <graphics/graphics.h>

struct stage {
	gs_stagesurf_t *surfaces[2];
	double time[2]; // of the picture a surface holds; 0: none
	uint64_t index[2];
	bool multiplied[2]; // premultiplied: fit for a ring only if nothing in it is transparent
	int turn;
	double wait; // seconds that reading a picture at once takes, smoothed
	bool late;   // it takes too long: read the picture of the frame before instead
	int opaque;  // how many pictures in a row were
};

// A picture on its way; `texture` is of the ring's size.
struct staged {
	gs_texture_t *texture;
	bool multiplied;
	double time;
	uint64_t index;
};

// Whether the last pictures were all opaque, so that a premultiplied one is as good as one that is not.
bool stage_is_opaque(const struct stage *stage);

// Put a picture into the ring. In the graphics context.
void stage_send(struct stage *stage, struct ring *ring, const struct staged *picture);

// In the graphics context.
void stage_free(struct stage *stage);
