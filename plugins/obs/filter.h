// SPDX-License-Identifier: GPL-2.0-or-later
// The filter "Latentcast effect": what it is made of.
#pragma once

#include "controls.h"
#include "keeper.h"
#include "mixer.h"
#include "names.h"
#include "picture.h"
#include "stage.h"

// What the settings ask for.
struct filter_wishes {
	char ring[SEGMENT_NAME_MAX + 2], answer[SEGMENT_NAME_MAX + 2];
	float share; // of the effect
	bool cut;    // keep what is transparent transparent
	double rate; // pictures a second to send, at most
};

// What the properties tell.
struct filter_news {
	uint64_t rendered; // when, last, in nanoseconds of the monotonic clock
	uint32_t width, height;
	bool sending, showing;
	double delay; // seconds from a picture that was sent to the answer that shows it
};

struct filter {
	obs_source_t *self;
	struct keeper *out, *in;
	os_task_queue_t *errands; // what a tick must not do
	struct controls controls;

	pthread_mutex_t mutex; // guards these, for moments
	struct filter_wishes wishes;
	struct filter_news news;
	bool claimed; // no other filter writes wishes.ring

	// of whoever is in the graphics context: a screenshot is rendered on a thread of its own
	struct ring *ring, *answer_ring; // borrowed while rendering
	struct filter_wishes now;
	struct mixer mixer;
	struct stage stage;
	struct picture answer;
	uint32_t width, height;
	uint64_t index;
	double due; // when the next picture is to be sent
	bool captured;
	bool works; // the graphics card took the shader
};

// Write a command that starts an engine for this filter.
void filter_command(const struct filter_wishes *wishes, int port, char *text, size_t size);

obs_properties_t *filter_properties(void *data);
