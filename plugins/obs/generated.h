// SPDX-License-Identifier: GPL-2.0-or-later
// Made by generate.py from engine/params.py; not edited by hand.
#pragma once

#include "osc.h"

struct control_row {
	const char *name, *label, *help, *unit;
	enum osc_type type;
	double low, high, start;
	const char *start_text;
};

#define CONTROL_COUNT 14
static const struct control_row CONTROLS[CONTROL_COUNT] = {
	{"prompt", "Prompt", "What the picture should become; blend with \"watercolor:0.7 | neon:0.3\".", "", OSC_TEXT, 0, 0, 0, "watercolor"},
	{"fade", "Fade", "How long a prompt takes to arrive.", "s", OSC_NUMBER, 0, 30, 0.5, ""},
	{"lora", "Lora", "LoRA files to add, and how strongly: \"ghibli:0.8 | grain:0.3\".", "", OSC_TEXT, 0, 0, 0, ""},
	{"steps", "Steps", "Denoising steps per chunk; fewer is faster.", "", OSC_WHOLE, 1, 4, 2, ""},
	{"rows", "Rows", "Chunks denoised together: 1 waits least, 0 takes one row a step.", "", OSC_WHOLE, 0, 4, 1, ""},
	{"noise", "Noise", "How far the model may depart from the camera.", "", OSC_NUMBER, 0, 1, 0.71, ""},
	{"motion", "Motion", "How much a moving picture lowers the noise.", "", OSC_NUMBER, 0, 0.5, 0.1, ""},
	{"carry", "Carry", "Keep the noise fixed in place instead of drawing it anew for every chunk.", "", OSC_SWITCH, 0, 0, 1, ""},
	{"seed", "Seed", "Same seed, same noise.", "", OSC_WHOLE, 0, 2147483647, 0, ""},
	{"mix", "Mix", "From the camera (0) to the effect (1).", "", OSC_NUMBER, 0, 1, 1, ""},
	{"bypass", "Bypass", "Show the camera.", "", OSC_SWITCH, 0, 0, 0, ""},
	{"freeze", "Freeze", "Hold the picture that is on.", "", OSC_SWITCH, 0, 0, 0, ""},
	{"privacy", "Privacy", "While the engine is away, show the slate, never the camera.", "", OSC_SWITCH, 0, 0, 0, ""},
	{"panic", "Panic", "Show the slate, now.", "", OSC_SWITCH, 0, 0, 0, ""},
};

#define LOOK_COUNT 13
static const char *const LOOKS[LOOK_COUNT] = {"natural", "watercolor", "oil painting", "pencil sketch", "ink", "comic", "neon", "night", "thermal", "blueprint", "pixel art", "mosaic", "gold"};

#define SLATE_LETTER_HEIGHT 8
#define SLATE_TITLE_COLUMNS 59
static const uint64_t SLATE_TITLE[] = {0x300200008000008, 0x100200008000008, 0x10e78e59e38e3de, 0x101211648441408, 0x10f21f44840f388, 0x111250449451049, 0x38f18e44638f786, 0x0};
#define SLATE_STATE_COLUMNS 41
static const uint64_t SLATE_STATE[] = {0x4204000, 0x200000, 0x1138c78c58d, 0x15044204653, 0x153c4204451, 0x15444244451, 0xa3ce18e44f, 0xe};
