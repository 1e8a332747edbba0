// SPDX-License-Identifier: GPL-2.0-or-later
// OSC 1.0 messages by UDP to a port of this machine. Sending never waits.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OSC_MAX 4096 // bytes of one message

enum osc_type { OSC_NOTHING, OSC_TEXT, OSC_NUMBER, OSC_WHOLE, OSC_SWITCH };

struct osc_value {
	enum osc_type type;
	const char *text; // UTF-8
	double number;    // for OSC_SWITCH: not 0 is on
};

// Write a message with at most one argument; its length, or 0 if it does not fit.
size_t osc_message(uint8_t bytes[OSC_MAX], const char *address, struct osc_value value);

// Send one message to 127.0.0.1. False if the system would not take it, as when its buffer is full.
bool osc_send(int port, const char *address, struct osc_value value);

// Before the first osc_send, and after the last.
bool osc_start(void);
void osc_stop(void);
