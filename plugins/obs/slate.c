// SPDX-License-Identifier: GPL-2.0-or-later
// The look of bridge/media/slate.py, so that nobody sees which of the two programs drew it.
#include "slate.h"

#include "generated.h"

#include <math.h>
#include <stdbool.h>

typedef struct {
	float r, g, b;
} color;

static const color top = {30, 27, 58}, bottom = {74, 38, 84}, accent = {240, 140, 90}; // dusk
#define INK {244, 236, 224}
#define FAINT {186, 166, 190}

// A line of text: 8 rows of dots, the first one in the highest of `columns` bits.
struct words {
	const uint64_t *rows;
	int columns;
	float middle, dot; // in pixels
	color ink;
};

static float clip(float value)
{
	return value < 0 ? 0 : value > 1 ? 1 : value;
}

static color mixed(color under, color over, float share)
{
	return (color){under.r + (over.r - under.r) * share, under.g + (over.g - under.g) * share,
		       under.b + (over.b - under.b) * share};
}

// How much of a pixel a round dot of the text covers.
static float cover(const struct words *words, float x, float y)
{
	const float column = (x - SLATE_WIDTH / 2.0f) / words->dot + words->columns / 2.0f;
	const float row = (y - words->middle) / words->dot + SLATE_LETTER_HEIGHT / 2.0f;
	if (column < 0 || row < 0 || column >= words->columns || row >= SLATE_LETTER_HEIGHT)
		return 0;
	const bool set = words->rows[(int)row] >> (words->columns - 1 - (int)column) & 1;
	const float off = hypotf(column - floorf(column) - 0.5f, row - floorf(row) - 0.5f) * words->dot;
	return set ? clip(0.46f * words->dot + 0.5f - off) : 0;
}

static color pixel_at(float x, float y)
{
	static const struct words title = {SLATE_TITLE, SLATE_TITLE_COLUMNS, 0.44f * SLATE_HEIGHT, 7, INK};
	static const struct words state = {SLATE_STATE, SLATE_STATE_COLUMNS, 0.69f * SLATE_HEIGHT, 3.5f, FAINT};
	const float fall = y / SLATE_HEIGHT + 0.4f * x / SLATE_WIDTH - 0.2f;
	color shade = mixed(top, bottom, clip(fall));
	const bool line = fabsf(y - 0.575f * SLATE_HEIGHT) < 2 && fabsf(x - SLATE_WIDTH / 2.0f) < 210;
	if (line)
		shade = accent;
	shade = mixed(shade, title.ink, cover(&title, x, y));
	return mixed(shade, state.ink, cover(&state, x, y));
}

void slate_paint(uint8_t *pixels)
{
	for (int y = 0; y < SLATE_HEIGHT; y++) {
		for (int x = 0; x < SLATE_WIDTH; x++, pixels += 4) {
			const color shade = pixel_at((float)x + 0.5f, (float)y + 0.5f);
			pixels[0] = (uint8_t)lroundf(shade.r);
			pixels[1] = (uint8_t)lroundf(shade.g);
			pixels[2] = (uint8_t)lroundf(shade.b);
			pixels[3] = 255;
		}
	}
}
