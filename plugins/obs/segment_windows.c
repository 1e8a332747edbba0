// SPDX-License-Identifier: GPL-2.0-or-later
// Windows. Not run yet: written to the documentation of CreateFileMapping, MapViewOfFile and VirtualQuery.
#include "segment.h"

#include <windows.h>

static enum segment_result map(struct segment *segment, HANDLE handle, DWORD access)
{
	MEMORY_BASIC_INFORMATION about;
	uint8_t *bytes = MapViewOfFile(handle, access, 0, 0, 0);
	if (!bytes || !VirtualQuery(bytes, &about, sizeof(about))) {
		if (bytes)
			UnmapViewOfFile(bytes);
		CloseHandle(handle);
		return SEGMENT_REFUSED;
	}
	*segment = (struct segment){.bytes = bytes, .size = about.RegionSize, .handle = handle};
	return SEGMENT_OK;
}

enum segment_result segment_open(struct segment *segment, const char *name)
{
	HANDLE handle = OpenFileMappingA(FILE_MAP_READ, FALSE, name);
	if (!handle)
		return GetLastError() == ERROR_FILE_NOT_FOUND ? SEGMENT_ABSENT : SEGMENT_REFUSED;
	return map(segment, handle, FILE_MAP_READ);
}

enum segment_result segment_create(struct segment *segment, const char *name, size_t size)
{
	const uint64_t length = size;
	HANDLE handle = CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, (DWORD)(length >> 32),
					   (DWORD)length, name);
	if (!handle)
		return GetLastError() == ERROR_COMMITMENT_LIMIT ? SEGMENT_FULL : SEGMENT_REFUSED;
	const bool existed = GetLastError() == ERROR_ALREADY_EXISTS;
	const enum segment_result result = map(segment, handle, FILE_MAP_ALL_ACCESS);
	return result == SEGMENT_OK && existed ? SEGMENT_TAKEN : result;
}

void segment_touch(const struct segment *segment)
{
	(void)segment; // pages come when they are touched
}

void segment_close(struct segment *segment)
{
	if (segment->bytes) {
		UnmapViewOfFile(segment->bytes);
		CloseHandle(segment->handle);
	}
	*segment = (struct segment){0};
}

void segment_remove(const char *name)
{
	(void)name; // gone with its last handle
}

uint64_t this_process(void)
{
	return GetCurrentProcessId();
}

bool process_runs(uint64_t id)
{
	HANDLE process = id <= MAXDWORD ? OpenProcess(SYNCHRONIZE, FALSE, (DWORD)id) : NULL;
	if (!process)
		return GetLastError() == ERROR_ACCESS_DENIED;
	const bool runs = WaitForSingleObject(process, 0) == WAIT_TIMEOUT;
	CloseHandle(process);
	return runs;
}

void segment_list(void (*found)(const char *name, void *data), void *data)
{
	(void)found;
	(void)data;
}
