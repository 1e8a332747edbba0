// SPDX-License-Identifier: GPL-2.0-or-later
// The C side of a ring, for the tests: one command, then done. Exit code 1 and a sentence if something is wrong.
//
//   ring-peer read NAME COUNT           read COUNT pictures, whose bytes all equal their number; say which
//   ring-peer write NAME W H COUNT      make a ring, write such pictures until stdin ends, at least COUNT
//   ring-peer anew NAME SIDE SIDE       make a square ring and write; on a line of stdin, at once another one
//   ring-peer open NAME                 open it once
//   ring-peer create NAME W H           make it, and remove it when stdin ends
//   ring-peer stamp NAME                make a ring with one picture of this moment, and say the moment; until stdin ends
//   ring-peer age NAME                  the newest picture's moment, and this one
//   ring-peer osc PORT ADDRESS TYPE VALUE
//   ring-peer slate                     the pixels, to stdout
#define _GNU_SOURCE
#include "osc.h"
#include "ring.h"
#include "slate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32

#include <fcntl.h>
#include <io.h>
#include <windows.h>

static void nap(long microseconds)
{
	Sleep((DWORD)(microseconds + 999) / 1000);
}

// Seconds of the clock that stamps are of, as libobs's os_gettime_ns has it.
static double now(void)
{
	LARGE_INTEGER count, frequency;
	QueryPerformanceCounter(&count);
	QueryPerformanceFrequency(&frequency);
	return (double)count.QuadPart / (double)frequency.QuadPart;
}

static volatile LONG waiting, over;

static DWORD WINAPI listen_to_stdin(void *nothing)
{
	char byte;
	DWORD read;
	while (ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &read, nothing) && read)
		InterlockedIncrement(&waiting);
	InterlockedExchange(&over, 1);
	return 0;
}

// How many bytes of stdin wait to be taken; -1 when it has ended.
static int stdin_bytes(void)
{
	static HANDLE thread;
	if (!thread)
		thread = CreateThread(NULL, 0, listen_to_stdin, NULL, 0, NULL);
	return waiting ? (int)waiting : over ? -1 : 0;
}

static void stdin_take(void)
{
	InterlockedExchange(&waiting, 0);
}

static void as_it_is(void)
{
	_setmode(_fileno(stdout), _O_BINARY);
}

#else

#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static void nap(long microseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000 * microseconds}, NULL);
}

static double now(void)
{
	struct timespec time;
#ifdef __APPLE__
	clock_gettime(CLOCK_UPTIME_RAW, &time); // which is mach_absolute_time
#else
	clock_gettime(CLOCK_MONOTONIC, &time);
#endif
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int stdin_bytes(void)
{
	int bytes = 0;
	struct pollfd input = {.fd = 0, .events = POLLIN};
	const bool news = poll(&input, 1, 0) > 0;
	return news && (ioctl(0, FIONREAD, &bytes) != 0 || bytes == 0) ? -1 : bytes;
}

static void stdin_take(void)
{
	getchar();
}

static void as_it_is(void) {}

#endif

static bool stdin_ended(void)
{
	return stdin_bytes() < 0;
}

static int fail(const char *why)
{
	printf("%s\n", why);
	return 1;
}

// Copy a picture row for row, as slowly as an upload may be; whether all bytes are the same.
static bool is_even(const uint8_t *pixels, size_t size, uint8_t *copy)
{
	memcpy(copy, pixels, size);
	for (size_t i = 1; i < size; i++)
		if (copy[i] != copy[0])
			return false;
	return true;
}

static int read_some(const char *name, int count)
{
	char why[RING_REASON];
	struct ring *ring = ring_open(name, why);
	if (!ring)
		return fail(why);
	const size_t size = (size_t)ring->width * ring->height * 4;
	uint8_t *copy = malloc(size);
	int good = 0, overtaken = 0, torn = 0, wrong = 0;
	struct ring_picture picture = {0};
	for (int naps = 0; good < count && naps < 200000 && ring_is_open(ring);) {
		if (!ring_newest(ring, &picture)) {
			nap(50);
			naps++;
			continue;
		}
		const bool even = is_even(picture.pixels, size, copy);
		if (!ring_was_whole(ring, &picture)) {
			overtaken++;
			continue;
		}
		good++;
		torn += !even;
		wrong += copy[0] != (uint8_t)picture.number || picture.index != picture.number;
	}
	printf("%ux%u good %d overtaken %d torn %d wrong %d last %llu kind %llu time %.6f open %d\n", ring->width,
	       ring->height, good, overtaken, torn, wrong, (unsigned long long)picture.number,
	       (unsigned long long)picture.kind, picture.time, ring_is_open(ring));
	free(copy);
	ring_close(ring);
	return good < count || torn || wrong;
}

static void put(struct ring *ring, uint64_t number)
{
	const size_t size = (size_t)ring->width * ring->height * 4;
	memset(ring_begin(ring, 0.5 * (double)number, number), (int)(uint8_t)number, size);
	ring_publish(ring);
}

static int write_some(const char *name, uint32_t width, uint32_t height, int count)
{
	char why[RING_REASON];
	struct ring *ring = ring_create(name, width, height, why);
	if (!ring)
		return fail(why);
	printf("ready\n");
	fflush(stdout);
	for (uint64_t number = 0; number < (uint64_t)count || !stdin_ended(); number++) {
		put(ring, number);
		if (number % 8 == 0)
			nap(100);
	}
	ring_close(ring);
	return 0;
}

// Pictures until stdin says something or ends; whether they could be written.
static bool put_until(const char *name, uint32_t width, uint32_t height, char why[RING_REASON])
{
	struct ring *ring = ring_create(name, width, height, why);
	if (!ring)
		return false;
	printf("%ux%u\n", width, height);
	fflush(stdout);
	for (uint64_t number = 0; stdin_bytes() == 0; number++) {
		put(ring, number);
		nap(1000);
	}
	ring_close(ring);
	return true;
}

static int make_anew(const char *name, char **sides)
{
	char why[RING_REASON] = "";
	const uint32_t first = (uint32_t)atoi(sides[0]), second = (uint32_t)atoi(sides[1]);
	if (!put_until(name, first, first, why))
		return fail(why);
	stdin_take();
	return put_until(name, second, second, why) ? 0 : fail(why);
}

static int stamp(const char *name)
{
	char why[RING_REASON];
	struct ring *ring = ring_create(name, 16, 8, why);
	if (!ring)
		return fail(why);
	const double time = now();
	memset(ring_begin(ring, time, 0), 0, 16 * 8 * 4);
	ring_publish(ring);
	printf("%.6f\n", time);
	fflush(stdout);
	while (!stdin_ended())
		nap(1000);
	ring_close(ring);
	return 0;
}

static int say_age(const char *name)
{
	char why[RING_REASON];
	struct ring_picture picture;
	struct ring *ring = ring_open(name, why);
	if (!ring)
		return fail(why);
	const bool there = ring_newest(ring, &picture);
	if (there)
		printf("%.6f %.6f\n", picture.time, now());
	ring_close(ring);
	return there ? 0 : fail("no picture");
}

static int hold(struct ring *ring, const char *why)
{
	if (!ring)
		return fail(why);
	printf("%ux%u\n", ring->width, ring->height);
	fflush(stdout);
	while (ring->ours && !stdin_ended())
		nap(1000);
	ring_close(ring);
	return 0;
}

static int send_osc(int port, const char *address, const char *type, const char *text)
{
	struct osc_value value = {.type = OSC_NOTHING, .text = text, .number = atof(text)};
	if (*type == 's')
		value.type = OSC_TEXT;
	if (*type == 'f')
		value.type = OSC_NUMBER;
	if (*type == 'i')
		value.type = OSC_WHOLE;
	if (*type == 'b')
		value.type = OSC_SWITCH;
	const bool sent = osc_start() && osc_send(port, address, value);
	osc_stop();
	return sent ? 0 : fail("not sent");
}

static int slate(void)
{
	uint8_t *pixels = malloc(SLATE_WIDTH * SLATE_HEIGHT * 4);
	slate_paint(pixels);
	const bool all = fwrite(pixels, 4, SLATE_WIDTH * SLATE_HEIGHT, stdout) == SLATE_WIDTH * SLATE_HEIGHT;
	free(pixels);
	return !all;
}

int main(int count, char **words)
{
	char why[RING_REASON] = "";
	as_it_is();
	const char *verb = count > 1 ? words[1] : "";
	if (strcmp(verb, "read") == 0 && count == 4)
		return read_some(words[2], atoi(words[3]));
	if (strcmp(verb, "write") == 0 && count == 6)
		return write_some(words[2], (uint32_t)atoi(words[3]), (uint32_t)atoi(words[4]), atoi(words[5]));
	if (strcmp(verb, "anew") == 0 && count == 5)
		return make_anew(words[2], words + 3);
	if (strcmp(verb, "open") == 0 && count == 3)
		return hold(ring_open(words[2], why), why);
	if (strcmp(verb, "create") == 0 && count == 5)
		return hold(ring_create(words[2], (uint32_t)atoi(words[3]), (uint32_t)atoi(words[4]), why), why);
	if (strcmp(verb, "stamp") == 0 && count == 3)
		return stamp(words[2]);
	if (strcmp(verb, "age") == 0 && count == 3)
		return say_age(words[2]);
	if (strcmp(verb, "osc") == 0 && count == 6)
		return send_osc(atoi(words[2]), words[3], words[4], words[5]);
	if (strcmp(verb, "slate") == 0)
		return slate();
	return fail("see the head of ring_peer.c");
}
