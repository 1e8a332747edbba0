// SPDX-License-Identifier: GPL-2.0-or-later
#include "stage.h"

#include <util/platform.h>

#include <string.h>

// A drawing processor that is the main one has finished by the time it says so, and waiting a frame would only add
// delay; a graphics card has not, and waiting for it would cost OBS frames. Which of the two this is, is measured.
#define WAIT_MAX 1e-3 // seconds, of OBS's two
#define SMOOTHING 8
#define STALE 0.5 // seconds: a picture from before the source was hidden

static bool make(struct stage *stage, uint32_t width, uint32_t height)
{
	gs_stagesurf_t *first = stage->surfaces[0];
	if (first && gs_stagesurface_get_width(first) == width && gs_stagesurface_get_height(first) == height)
		return true;
	stage_free(stage);
	for (int i = 0; i < 2; i++)
		stage->surfaces[i] = gs_stagesurface_create(width, height, GS_RGBA);
	return stage->surfaces[0] && stage->surfaces[1];
}

static void copy(struct ring *ring, const uint8_t *from, uint32_t line, double time, uint64_t index)
{
	const size_t row = (size_t)ring->width * 4;
	uint8_t *to = ring_begin(ring, time, index);
	if (line == row)
		memcpy(to, from, row * ring->height);
	else
		for (uint32_t y = 0; y < ring->height; y++)
			memcpy(to + y * row, from + (size_t)y * line, row);
	ring_publish(ring);
}

// Copy a surface into the ring; the seconds that the card was waited for.
static double fetch(struct stage *stage, int which, struct ring *ring)
{
	uint8_t *bytes;
	uint32_t line;
	const uint64_t began = os_gettime_ns();
	if (!gs_stagesurface_map(stage->surfaces[which], &bytes, &line))
		return 0;
	const uint64_t mapped = os_gettime_ns();
	copy(ring, bytes, line, stage->time[which], stage->index[which]);
	gs_stagesurface_unmap(stage->surfaces[which]);
	stage->time[which] = 0;
	return (double)(mapped - began) * 1e-9;
}

void stage_send(struct stage *stage, gs_texture_t *texture, struct ring *ring, double time, uint64_t index)
{
	if (!make(stage, ring->width, ring->height))
		return;
	const int now = stage->turn, before = !stage->turn;
	if (stage->late && stage->time[before] > time - STALE)
		fetch(stage, before, ring);
	gs_stage_texture(stage->surfaces[now], texture);
	stage->time[now] = time;
	stage->index[now] = index;
	if (!stage->late) {
		stage->wait += (fetch(stage, now, ring) - stage->wait) / SMOOTHING;
		stage->late = stage->wait > WAIT_MAX;
	}
	stage->turn = before;
}

void stage_free(struct stage *stage)
{
	for (int i = 0; i < 2; i++)
		gs_stagesurface_destroy(stage->surfaces[i]);
	*stage = (struct stage){0};
}
