// SPDX-License-Identifier: GPL-2.0-or-later
#include "stage.h"

#include <util/platform.h>

#include <string.h>

// A drawing processor that is the main one has finished by the time it says so, and waiting a frame would only add
// delay; a graphics card has not, and waiting for it would cost OBS frames. Which of the two this is, is measured.
#define WAIT_MAX 1e-3 // seconds, of OBS's two
#define SMOOTHING 8
#define MEMORY 30 // pictures: what was transparent may soon be so again
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

// Copy a row; whether it is opaque.
static bool copy_row(uint8_t *to, const uint8_t *from, size_t size)
{
	uint32_t all = UINT32_MAX, pixel;
	memcpy(to, from, size);
	for (size_t at = 0; at < size; at += 4) {
		memcpy(&pixel, from + at, 4);
		all &= pixel;
	}
	uint8_t bytes[4];
	memcpy(bytes, &all, 4);
	return bytes[3] == 255;
}

static bool copy(uint8_t *to, const uint8_t *from, uint32_t line, const struct ring *ring)
{
	const size_t row = (size_t)ring->width * 4;
	bool opaque = true;
	for (uint32_t y = 0; y < ring->height; y++)
		opaque &= copy_row(to + y * row, from + (size_t)y * line, row);
	return opaque;
}

static void note(struct stage *stage, bool opaque)
{
	stage->opaque = opaque ? stage->opaque + (stage->opaque < MEMORY) : 0;
}

bool stage_is_opaque(const struct stage *stage)
{
	return stage->opaque == MEMORY;
}

// Copy a surface into the ring; the seconds that the card was waited for. What turns out to be premultiplied and
// transparent is left out, and the next picture comes the longer way.
static double fetch(struct stage *stage, int which, struct ring *ring)
{
	uint8_t *bytes;
	uint32_t line;
	const uint64_t began = os_gettime_ns();
	if (!gs_stagesurface_map(stage->surfaces[which], &bytes, &line))
		return 0;
	const uint64_t mapped = os_gettime_ns();
	uint8_t *to = ring_begin(ring, stage->time[which], stage->index[which]);
	const bool opaque = copy(to, bytes, line, ring);
	gs_stagesurface_unmap(stage->surfaces[which]);
	if (opaque || !stage->multiplied[which])
		ring_publish(ring);
	note(stage, opaque);
	stage->time[which] = 0;
	return (double)(mapped - began) * 1e-9;
}

void stage_send(struct stage *stage, struct ring *ring, const struct staged *picture)
{
	if (!make(stage, ring->width, ring->height))
		return;
	const int now = stage->turn, before = !stage->turn;
	if (stage->late && stage->time[before] > picture->time - STALE)
		fetch(stage, before, ring);
	gs_stage_texture(stage->surfaces[now], picture->texture);
	stage->time[now] = picture->time;
	stage->index[now] = picture->index;
	stage->multiplied[now] = picture->multiplied;
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
