"""Simulated streams: windows where they say they are, each change visible alone, batches reproducible."""

from pathlib import Path

import numpy as np
import pytest
import torch

from earshot_training.data import Clip
from earshot_training.encoder import lookahead_frames, step_frames, streaming_plan
from earshot_training.frontend import FRONT_END, SILENT_FRAME, LogMel
from earshot_training.streaming import LOOKAHEAD
from earshot_training.streams import BACKGROUND, MAIN, ONSET, StreamSimulator, level, mel_band, power_of, reverberated

PLAIN = {"frames": 640, "modes": [0, 0, 1], "short_window": 3, "onset_delay": [50, 130], "mixed": 0, "speed": 0, "pitch": 0, "again": 0,
         "room": 0, "response": 0, "band_limit": 0, "low_cut": 0, "noise": 0, "masked": 0, "seed": 1, "steps": 10, "batch": 16}  # fmt: skip


class Cache:
    """Clips 0 and 1: a tone each, in bands 40 and 90; clip 2: background in band 5."""

    def __init__(self):
        self.clips = []
        for band, count in ((40, 300), (90, 500), (5, 400)):
            frames = np.full((count, FRONT_END["mel_count"]), SILENT_FRAME, np.float16)
            frames[:, band] = 1.0
            self.clips.append(frames)

    def into_memory(self):
        pass

    def frame_count(self, clip):
        return len(self.clips[clip])

    def clip(self, clip):
        return self.clips[clip]


def simulator(**changes):
    clips = [Clip(Path("a"), "s", "event", ["beep"]), Clip(Path("b"), "s", "event", ["squeak"]), Clip(Path("c"), "s", "background")]
    settings = PLAIN | {"usable": np.ones(3, bool)} | changes
    return StreamSimulator(Cache(), clips, np.array([1.0, 1.0, 0.0]), streaming_plan(LOOKAHEAD, 240), settings)


def sounding(frames, band):
    return frames[:, band] > SILENT_FRAME + 0.02


def test_power_is_the_inverse_of_the_front_end():
    power = np.abs(np.random.default_rng(0).normal(size=(5, 128))).astype(np.float32)
    assert np.allclose(power_of(LogMel().scale(torch.from_numpy(power)).numpy()), power, rtol=1e-4, atol=1e-6)


def test_mel_band_is_the_band_of_a_tone():
    rate = FRONT_END["sample_rate"]
    for frequency in (500.0, 3000.0, 8000.0):
        tone = np.sin(2 * np.pi * frequency * np.arange(rate) / rate).astype(np.float32)
        heard = LogMel()(torch.from_numpy(tone)).mean(0).argmax().item()
        assert abs(heard - mel_band(frequency)) <= 1


def test_batches_are_a_function_of_seed_and_number():
    one, again, other = simulator()[3], simulator()[3], simulator()[4]
    assert torch.equal(one.frames, again.frames) and torch.equal(one.first, again.first)
    assert not torch.equal(one.frames, other.frames)


def test_windows_of_a_scene():
    streams, kinds = simulator(), set()
    step, ahead = step_frames(streaming_plan(LOOKAHEAD, 240)), lookahead_frames(streaming_plan(LOOKAHEAD, 240))
    for index in range(4):
        batch = streams[index]
        assert batch.frames.shape[1] == 640 + ahead
        for stream, first, last, kind, clips in zip(batch.stream, batch.first, batch.last, batch.kind, batch.clips):
            kinds.add(kind.item())
            assert 0 <= first < last <= 640 // step
            frames = batch.frames[stream].numpy()
            heard = lambda until: sounding(frames[:until], 40).any() or sounding(frames[:until], 90).any()
            newest = step * (last.item() - 1) + ahead  # the newest frame that the last step hears
            if kind == BACKGROUND:
                assert clips[0] == -1 and not heard(newest + 1) and sounding(frames, 5).all()
            else:
                assert heard(newest + 1) and sounding(frames, (40, 90)[clips[0]]).any()
            if kind == ONSET:
                begin = np.flatnonzero(sounding(frames, 40) | sounding(frames, 90))[0]
                assert last - first == 3 and 50 - step <= newest - begin < 130
    assert kinds == {MAIN, ONSET, BACKGROUND}


def test_a_scene_keeps_its_signal_to_noise_ratio():
    batch, seen = simulator(batch=40)[0], 0
    for stream in range(40):
        power = power_of(batch.frames[stream].numpy())
        if power[:, 5].mean() < 1e-4:
            continue  # lost in the offset of the logarithm
        sound = power[:, 40] + power[:, 90]
        ratio = 10 * np.log10(sound[sound > 0.1 * sound.max()].mean() / power[:, 5].mean())
        assert -1 < ratio < 26
        seen += 1
    assert seen > 10


def test_repeat_fills_the_stream_and_clip_is_silent_outside():
    batch = simulator(modes=[0, 1, 0])[0]
    assert (batch.kind == MAIN).all()
    for stream in range(16):
        frames = batch.frames[stream].numpy()
        assert (sounding(frames, 40) | sounding(frames, 90)).mean() > 0.99
    batch = simulator(modes=[1, 0, 0])[0]
    assert not sounding(batch.frames.flatten(0, 1).numpy(), 5).any()


@pytest.mark.parametrize("change", ["mixed", "speed", "pitch", "again", "room", "band_limit", "low_cut", "noise", "masked", "response"])
def test_each_change_is_a_switch(change):
    plain, changed = simulator()[0].frames, simulator(**{change: 1.0})[0].frames
    assert torch.isfinite(changed).all() and not torch.equal(plain, changed)


def test_a_band_limit_leaves_nothing_above_it():
    batch = simulator(band_limit=1.0, modes=[0, 1, 0], batch=40)[0]
    high = [batch.frames[row, :, 90].max().item() for row in range(40) if (batch.frames[row, :, 90] > SILENT_FRAME + 0.5).any()]
    limited = simulator(band_limit=0, modes=[0, 1, 0], batch=40)[0]
    loud = [row for row in range(40) if (limited.frames[row, :, 90] > SILENT_FRAME + 0.5).any()]
    assert mel_band(8000) > 90 or len(high) < len(loud)


def test_reverberation_keeps_the_energy_and_decays():
    power = np.zeros((400, 2), np.float32)
    power[10] = 1.0
    result = reverberated(power, np.random.default_rng(0))
    assert result.sum() == pytest.approx(power.sum(), rel=0.01)
    assert (np.diff(result[11:, 0]) <= 0).all() and result[:10].sum() == 0


def test_level_is_that_of_the_louder_half():
    power = np.zeros((10, 4), np.float32)
    power[:5] = 2.0
    assert level(power) == pytest.approx(2.0, rel=1e-5)
