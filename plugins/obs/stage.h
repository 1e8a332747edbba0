// SPDX-License-Identifier: GPL-2.0-or-later
// Pictures from the graphics card into a ring, without waiting for the card.
#pragma once

#include "ring.h"

#include <graphics/graphics.h>

struct stage {
	gs_stagesurf_t *surfaces[2];
	double time[2]; // of the picture a surface holds; 0: none
	uint64_t index[2];
	int turn;
	double wait; // seconds that reading a picture at once takes, smoothed
	bool late;   // it takes too long: read the picture of the frame before instead
};

// Put a texture of the ring's size into the ring. In the graphics context.
void stage_send(struct stage *stage, gs_texture_t *texture, struct ring *ring, double time, uint64_t index);

// In the graphics context.
void stage_free(struct stage *stage);
