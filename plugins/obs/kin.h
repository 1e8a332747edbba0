// SPDX-License-Identifier: GPL-2.0-or-later
// A filter's parent (the source it is on) and target (what it filters). OBS takes both away from a filter that is being
// removed, on any thread, and its own functions do not expect that in the middle: so who removes one waits here.
#pragma once

#include <obs-module.h>

// The parent, to be released; NULL if there is none.
obs_source_t *kin_parent(obs_source_t *filter);

// The size of the target; 0 if there is none.
void kin_size(obs_source_t *filter, uint32_t *width, uint32_t *height);

// Wait until nobody asks for or renders what is about to be taken away. For `filter_remove`, when OBS has the filter no
// longer in its list.
void kin_part(obs_source_t *parent);
