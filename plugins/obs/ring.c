// SPDX-License-Identifier: GPL-2.0-or-later
#include "ring.h"

#include "order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0, VERSION = 8, HEADER = 12, WIDTH = 16, HEIGHT = 20, FORMAT = 24, SLOTS = 28 };
enum { STRIDE = 32, OWNER = 40, COUNT = 48, OPEN = 56, HEADER_BYTES = 64 };
enum { LOCK = 0, INDEX = 8, TIME = 16, KIND = 24, PIXELS = 64 }; // in a slot
enum { SPOKEN_VERSION = 1, RGBA8 = 1, ALIGN = 64, SIDE_MAX = 16384, SLOTS_MAX = 1 << 20 };

#define RING_BYTES (48u << 20) // of pictures that a ring made here holds, about
static const char magic[8] = "LCASTRNG";

static volatile uint64_t *word(const uint8_t *at)
{
	return (volatile uint64_t *)at;
}

static uint32_t u32(const uint8_t *bytes, int at)
{
	return *(const volatile uint32_t *)(bytes + at);
}

static void put32(uint8_t *bytes, int at, uint32_t value)
{
	*(volatile uint32_t *)(bytes + at) = value;
}

static uint8_t *slot_of(const struct ring *ring, uint64_t number)
{
	return ring->memory.bytes + ring->first + number % ring->slots * ring->stride;
}

static bool has_magic(const struct segment *memory)
{
	uint64_t wanted;
	memcpy(&wanted, magic, sizeof(wanted));
	return memory->size >= HEADER_BYTES && load_acquire(word(memory->bytes + MAGIC)) == wanted;
}

static bool makes_sense(const struct ring *ring)
{
	const uint64_t pixels = (uint64_t)ring->width * ring->height * 4;
	return ring->width && ring->height && ring->width <= SIDE_MAX && ring->height <= SIDE_MAX &&
	       ring->slots >= 3 && ring->slots <= SLOTS_MAX && ring->stride >= PIXELS + pixels &&
	       ring->stride % ALIGN == 0 && ring->first % ALIGN == 0 &&
	       ring->first <= ring->memory.size &&
	       ring->stride <= (ring->memory.size - ring->first) / ring->slots; // a product might overflow
}

static void read_header(struct ring *ring)
{
	const uint8_t *bytes = ring->memory.bytes;
	ring->first = u32(bytes, HEADER);
	ring->width = u32(bytes, WIDTH);
	ring->height = u32(bytes, HEIGHT);
	ring->slots = u32(bytes, SLOTS);
	ring->stride = load_acquire(word(bytes + STRIDE));
	ring->owner = load_acquire(word(bytes + OWNER));
}

// Fill in what the header says; false and a sentence if this program cannot read such a ring.
static bool understand(struct ring *ring, char why[RING_REASON])
{
	const uint8_t *bytes = ring->memory.bytes;
	if (!has_magic(&ring->memory)) {
		snprintf(why, RING_REASON, "%s is shared memory, but not a ring: use another name", ring->name);
		return false;
	}
	if (u32(bytes, VERSION) != SPOKEN_VERSION || u32(bytes, FORMAT) != RGBA8) {
		snprintf(why, RING_REASON,
			 "ring %s speaks version %u, format %u, and this plugin version %d, format %d: "
			 "update the older of the two programs",
			 ring->name, u32(bytes, VERSION), u32(bytes, FORMAT), SPOKEN_VERSION, RGBA8);
		return false;
	}
	read_header(ring);
	if (!makes_sense(ring)) {
		snprintf(why, RING_REASON, "ring %s says that it is %ux%u with %u pictures, which cannot be", ring->name,
			 ring->width, ring->height, ring->slots);
		return false;
	}
	if (ring_is_open(ring) && process_runs(ring->owner))
		return true;
	snprintf(why, RING_REASON, "nothing comes from ring %s: the program that made it has ended", ring->name);
	return false; // its last picture is as old as nobody knows
}

static struct ring *named(const char *name, char why[RING_REASON])
{
	if (!segment_name_fits(name)) {
		snprintf(why, RING_REASON,
			 "\"%.40s\" cannot name a ring: use 1 to 30 letters, digits, dots, dashes, underscores", name);
		return NULL;
	}
	struct ring *ring = calloc(1, sizeof(*ring));
	if (ring)
		snprintf(ring->name, sizeof(ring->name), "%s", name);
	return ring;
}

struct ring *ring_open(const char *name, char why[RING_REASON])
{
	struct ring *ring = named(name, why);
	if (!ring)
		return NULL;
	const enum segment_result result = segment_open(&ring->memory, name);
	if (result != SEGMENT_OK)
		snprintf(why, RING_REASON,
			 result == SEGMENT_ABSENT ? "there is no ring named %s yet"
						  : "ring %s cannot be opened: it may be another user's",
			 name);
	else if (understand(ring, why)) {
		segment_touch(&ring->memory);
		return ring;
	}
	ring_close(ring);
	return NULL;
}

// Whether the memory may be taken over; a sentence if not.
static bool is_free(const struct segment *memory, const char *name, char why[RING_REASON])
{
	if (!has_magic(memory)) {
		snprintf(why, RING_REASON, "%s is the shared memory of another program: use another name", name);
		return false;
	}
	const uint64_t owner = load_acquire(word(memory->bytes + OWNER));
	if (!load_acquire(word(memory->bytes + OPEN)) || !process_runs(owner))
		return true;
	snprintf(why, RING_REASON, "ring %s belongs to process %llu, which runs: stop it, or use another name", name,
		 (unsigned long long)owner);
	return false;
}

// Remove what is left of a program that died.
static bool clear_away(const char *name, char why[RING_REASON])
{
	struct segment old = {0};
	const enum segment_result result = segment_open(&old, name);
	if (result == SEGMENT_ABSENT)
		return true;
	if (result != SEGMENT_OK) {
		snprintf(why, RING_REASON, "%s is the shared memory of another program: use another name", name);
		return false;
	}
	const bool free = is_free(&old, name, why);
	segment_close(&old);
	if (free)
		segment_remove(name);
	return free;
}

// Memory of at least `size` bytes that nobody else owns.
static bool claim(struct ring *ring, size_t size, char why[RING_REASON])
{
	enum segment_result result = segment_create(&ring->memory, ring->name, size);
	if (result == SEGMENT_TAKEN && ring->memory.bytes) { // Windows: the name lives on, use the memory again
		if (ring->memory.size >= size && is_free(&ring->memory, ring->name, why))
			return true;
		if (ring->memory.size < size)
			snprintf(why, RING_REASON,
				 "ring %s is held open by a reader, and is too small: close that program", ring->name);
		return false;
	}
	if (result == SEGMENT_TAKEN) {
		if (!clear_away(ring->name, why))
			return false;
		result = segment_create(&ring->memory, ring->name, size);
	}
	if (result != SEGMENT_OK)
		snprintf(why, RING_REASON,
			 result == SEGMENT_FULL ? "no room for ring %s in shared memory: enlarge /dev/shm"
						: "ring %s cannot be made: use another name",
			 ring->name);
	return result == SEGMENT_OK;
}

static void write_header(struct ring *ring)
{
	uint8_t *bytes = ring->memory.bytes;
	memset(bytes, 0, HEADER_BYTES);
	put32(bytes, VERSION, SPOKEN_VERSION);
	put32(bytes, HEADER, (uint32_t)ring->first);
	put32(bytes, WIDTH, ring->width);
	put32(bytes, HEIGHT, ring->height);
	put32(bytes, FORMAT, RGBA8);
	put32(bytes, SLOTS, ring->slots);
	store_release(word(bytes + STRIDE), ring->stride);
	store_release(word(bytes + OWNER), ring->owner);
	store_release(word(bytes + OPEN), 1);
	uint64_t last; // a ring is one only when its header is whole
	memcpy(&last, magic, sizeof(last));
	store_release(word(bytes + MAGIC), last);
}

static uint32_t slots_for(uint64_t stride)
{
	const uint64_t slots = RING_BYTES / stride;
	return slots < 3 ? 3 : slots > 8 ? 8 : (uint32_t)slots;
}

struct ring *ring_create(const char *name, uint32_t width, uint32_t height, char why[RING_REASON])
{
	if (!width || !height || width > SIDE_MAX || height > SIDE_MAX) {
		snprintf(why, RING_REASON, "a picture of %ux%u does not fit into a ring", width, height);
		return NULL;
	}
	struct ring *ring = named(name, why);
	if (!ring)
		return NULL;
	const uint64_t pixels = (uint64_t)width * height * 4;
	ring->width = width, ring->height = height;
	ring->owner = this_process();
	ring->first = HEADER_BYTES;
	ring->stride = PIXELS + (pixels + ALIGN - 1) / ALIGN * ALIGN;
	ring->slots = slots_for(ring->stride);
	if (!claim(ring, ring->first + ring->slots * ring->stride, why)) {
		ring_close(ring);
		return NULL;
	}
	ring->ours = true;
	write_header(ring);
	return ring;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->ours)
		store_release(word(ring->memory.bytes + OPEN), 0);
	segment_close(&ring->memory);
	if (ring->ours)
		segment_remove(ring->name);
	free(ring);
}

bool ring_is_open(const struct ring *ring)
{
	const uint8_t *bytes = ring->memory.bytes;
	const bool open = load_acquire(word(bytes + OPEN)) && load_acquire(word(bytes + OWNER)) == ring->owner;
	const bool same = u32(bytes, WIDTH) == ring->width && u32(bytes, HEIGHT) == ring->height &&
			  u32(bytes, SLOTS) == ring->slots; // on Windows, its owner may have made it anew in place
	return open && same && load_acquire(word(bytes + COUNT)) >= ring->unread;
}

bool ring_owner_runs(const struct ring *ring)
{
	return process_runs(ring->owner);
}

bool ring_newest(struct ring *ring, struct ring_picture *picture)
{
	const uint64_t count = load_acquire(word(ring->memory.bytes + COUNT));
	if (count <= ring->unread)
		return false;
	const uint8_t *slot = slot_of(ring, count - 1);
	*picture = (struct ring_picture){
		.number = count - 1,
		.index = *(const volatile uint64_t *)(slot + INDEX),
		.kind = *(const volatile uint64_t *)(slot + KIND),
		.time = *(const volatile double *)(slot + TIME),
		.pixels = slot + PIXELS,
	};
	return load_acquire(word(slot + LOCK)) == 2 * picture->number + 2;
}

bool ring_was_whole(struct ring *ring, const struct ring_picture *picture)
{
	fence_acquire();
	if (load_acquire(word(slot_of(ring, picture->number) + LOCK)) != 2 * picture->number + 2)
		return false;
	ring->unread = picture->number + 1;
	return true;
}

uint8_t *ring_begin(struct ring *ring, double time, uint64_t index)
{
	const uint64_t count = load_acquire(word(ring->memory.bytes + COUNT));
	uint8_t *slot = slot_of(ring, count);
	store_release(word(slot + LOCK), 2 * count + 1); // odd: being written
	fence_release();
	*(volatile uint64_t *)(slot + INDEX) = index;
	*(volatile double *)(slot + TIME) = time;
	*(volatile uint64_t *)(slot + KIND) = RING_UNSAID;
	return slot + PIXELS;
}

void ring_publish(struct ring *ring)
{
	volatile uint64_t *count = word(ring->memory.bytes + COUNT);
	const uint64_t number = load_acquire(count);
	store_release(word(slot_of(ring, number) + LOCK), 2 * number + 2); // even: whole
	store_release(count, number + 1);
}

bool ring_is_taken(const char *name)
{
	char why[RING_REASON];
	struct segment memory = {0};
	if (!segment_name_fits(name) || segment_open(&memory, name) != SEGMENT_OK)
		return false;
	const bool taken = !is_free(&memory, name, why);
	segment_close(&memory);
	return taken;
}

bool ring_exists(const char *name)
{
	char why[RING_REASON];
	struct ring *ring = ring_open(name, why);
	ring_close(ring);
	return ring != NULL;
}
