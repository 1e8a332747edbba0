// SPDX-License-Identifier: GPL-2.0-or-later
// Loads and stores in the order that docs/ring.md asks for.
#pragma once

#include <stdint.h>

#if defined(_MSC_VER) && !defined(__clang__)

#include <windows.h>

static inline uint64_t load_acquire(const volatile uint64_t *word)
{
	return (uint64_t)ReadAcquire64((const volatile LONG64 *)word);
}

static inline void store_release(volatile uint64_t *word, uint64_t value)
{
	WriteRelease64((volatile LONG64 *)word, (LONG64)value);
}

static inline void fence_acquire(void)
{
	MemoryBarrier();
}

static inline void fence_release(void)
{
	MemoryBarrier();
}

#else

#include <stdatomic.h>

_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "a shared word is a plain word");

static inline uint64_t load_acquire(const volatile uint64_t *word)
{
	return atomic_load_explicit((const volatile _Atomic uint64_t *)word, memory_order_acquire);
}

static inline void store_release(volatile uint64_t *word, uint64_t value)
{
	atomic_store_explicit((volatile _Atomic uint64_t *)word, value, memory_order_release);
}

static inline void fence_acquire(void)
{
	atomic_thread_fence(memory_order_acquire);
}

static inline void fence_release(void)
{
	atomic_thread_fence(memory_order_release);
}

#endif
