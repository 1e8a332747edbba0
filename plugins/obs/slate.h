// SPDX-License-Identifier: GPL-2.0-or-later
// What is shown when there is nothing to show: a calm picture, never black.
#pragma once

#include <stdint.h>

enum { SLATE_WIDTH = 640, SLATE_HEIGHT = 360 };

// Paint "latentcast / waiting" as RGBA, SLATE_WIDTH x SLATE_HEIGHT.
void slate_paint(uint8_t *pixels);
