// SPDX-License-Identifier: GPL-2.0-or-later
#include "stage.h"

#include <util/platform.h>
#include <util/profiler.h>

#include <string.h>

// A drawing processor that is the main one has finished by the time it says so, and reading a picture later would only
// add delay. A graphics card has not, and waiting for it would cost OBS frames: there a picture is read when the next one
// comes, or, where the card is so busy that it has still not drawn it, the one after that. Which it is, is measured.
#ifndef WAIT_MAX      // a test has every picture read late
#define WAIT_MAX 1e-3 // seconds, of OBS's two
#endif
#define SLOW_MAX 8    // pictures: one that had to wait says nothing, most of several do
#define MEMORY 30     // pictures: what was transparent may soon be so again
#define STALE 0.5     // seconds later than its turn: a picture from before the source was hidden

static bool make(struct stage *stage, uint32_t width, uint32_t height)
{
	gs_stagesurf_t *first = stage->surfaces[0];
	if (first && gs_stagesurface_get_width(first) == width && gs_stagesurface_get_height(first) == height)
		return true;
	stage_free(stage);
	bool made = true;
	for (int i = 0; i < SURFACES; i++)
		made &= (stage->surfaces[i] = gs_stagesurface_create(width, height, GS_RGBA)) != NULL;
	if (!made)
		stage_free(stage);
	return made;
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
	static const char scope[] = "latentcast_copy"; // in the profile at the end of OBS's log
	struct staged *held = &stage->held[which];
	uint8_t *bytes;
	uint32_t line;
	const uint64_t began = os_gettime_ns();
	if (!gs_stagesurface_map(stage->surfaces[which], &bytes, &line))
		return 0;
	const uint64_t mapped = os_gettime_ns();
	profile_start(scope);
	uint8_t *to = ring_begin(ring, held->time, held->index);
	const bool opaque = copy(to, bytes, line, ring);
	profile_end(scope);
	gs_stagesurface_unmap(stage->surfaces[which]);
	if (opaque || !held->multiplied)
		ring_publish(ring);
	note(stage, opaque);
	held->time = 0;
	return (double)(mapped - began) * 1e-9;
}

// Read later where most pictures have to be waited for.
static void learn(struct stage *stage, double waited)
{
	if (waited > WAIT_MAX)
		stage->slow++;
	else if (stage->slow)
		stage->slow--;
	if (stage->slow == SLOW_MAX) {
		stage->slow = 0;
		stage->late += stage->late < SURFACES - 1;
	}
}

static void put(struct stage *stage, const struct staged *picture)
{
	static const char scope[] = "latentcast_stage"; // where the processor draws, it waits for that in here
	profile_start(scope);
	gs_stage_texture(stage->surfaces[stage->turn], picture->texture);
	profile_end(scope);
	stage->held[stage->turn] = *picture;
}

void stage_send(struct stage *stage, struct ring *ring, const struct staged *picture)
{
	if (!make(stage, ring->width, ring->height))
		return;
	if (!stage->late)
		put(stage, picture);
	const int due = (stage->turn + SURFACES - stage->late) % SURFACES;
	const double oldest = picture->time - stage->late * picture->period - STALE; // at a low rate, it has to wait
	if (stage->held[due].time > 0 && stage->held[due].time > oldest)
		learn(stage, fetch(stage, due, ring));
	if (stage->late)
		put(stage, picture);
	stage->turn = (stage->turn + 1) % SURFACES;
}

void stage_free(struct stage *stage)
{
	for (int i = 0; i < SURFACES; i++)
		gs_stagesurface_destroy(stage->surfaces[i]);
	*stage = (struct stage){0};
}
