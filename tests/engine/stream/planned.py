"""A stream batch and its planner, driven as a session drives them."""

from engine.stream.batch import StreamBatch
from engine.stream.rows import RowPlanner
from engine.stream.work import Batch, Row


class PlannedBatch:
    """Chunks of noisy latents in, finished ones out."""

    def __init__(self, denoiser, schedule, window, cache):
        self._spec, self._cache = window, cache
        self.planner, self._batch = RowPlanner(window), StreamBatch(denoiser, schedule, cache)
        self.batches = []

    def step(self, latent, tag, timesteps, plan, context, renoise):
        return self.run(self.planner.next(tag, len(latent), timesteps, plan), latent, context, renoise)

    def drain(self, timesteps, plan, context, renoise):
        done = []
        while (batch := self.planner.drain(timesteps, plan)) is not None:
            done += self.run(batch, None, context, renoise)
        return done

    def run(self, batch, latent, context, renoise):
        self.batches.append(batch)
        return self._batch.run(batch, latent, context, renoise)

    def note_stale_sink(self):
        if self._spec.refresh > -1 and self.batches[-1].rows[0].visible == self._spec.slots:
            self.planner.renewal.note_similarity(self._cache.similarity().tolist())

    def renew_sinks(self):
        self.planner.renew_sinks()

    @property
    def slots(self):
        """Those that each chunk took, in the order they entered."""
        entered = {row.tag: list(row.slots) for batch in self.batches for row in batch.rows}
        return [entered[tag] for tag in sorted(entered)]


def begin(cache, slots, positions, visible, drift=0):
    """Make `cache` ready for one call of one pass, of rows with these slots, positions and numbers of slots seen.

    drift: of every sink.
    """
    sinks = (drift,) * cache._spec.sinks
    each = zip(slots, positions, visible, strict=True)
    rows = tuple(Row(0, tuple(taken), at[0], (0,), seen, sinks) for taken, at, seen in each)
    cache.begin(Batch(rows, passes=1))
