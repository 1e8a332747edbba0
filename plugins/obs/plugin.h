// SPDX-License-Identifier: GPL-2.0-or-later
// What the files that speak to OBS share.
#pragma once

#include <obs-module.h>

#define say(level, format, ...) blog(level, "[latentcast] " format, ##__VA_ARGS__)

extern struct obs_source_info latentcast_source;
extern struct obs_source_info latentcast_filter;
