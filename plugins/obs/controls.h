// SPDX-License-Identifier: GPL-2.0-or-later
// The live controls as properties and hotkeys, sent by OSC to `latentcast run` when they change, and only then.
#pragma once

#include "generated.h"
#include "hotkeys.h"

#include <obs-module.h>
#include <util/threading.h>

#define FIRST_PORT 9510

struct control_value {
	double number;
	char *text;
	bool unsent;
};

struct controls {
	struct hotkeys hotkeys;
	const char *not_sent; // the control that the source or filter obeys itself, or ""

	pthread_mutex_t mutex; // guards the rest, for moments
	int port;
	float quiet; // seconds since the prompt changed: nobody wants a picture for every letter
	struct control_value values[CONTROL_COUNT];
};

void controls_defaults(obs_data_t *settings);
void controls_create(struct controls *controls, obs_source_t *self, obs_data_t *settings, const char *not_sent);
void controls_destroy(struct controls *controls);

// Take over what the settings say.
void controls_update(struct controls *controls, obs_data_t *settings);

// Send what changed. Once a frame.
void controls_tick(struct controls *controls, float seconds);

void controls_properties(obs_properties_t *properties);
