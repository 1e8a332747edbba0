// SPDX-License-Identifier: GPL-2.0-or-later
#include "segment.h"

#include <string.h>

bool segment_name_fits(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	const size_t length = strlen(name);
	return length >= 1 && length <= SEGMENT_NAME_MAX && strspn(name, allowed) == length;
}
