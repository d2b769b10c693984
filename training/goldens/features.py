"""Golden tensors for the front end's parts, from implementations that are not ours.

STFT power from librosa (center=False), the Kaldi mel bank from transformers, window from scipy, the whole log-mel in
float64 numpy. Run from the repository's root:

    python training/goldens/features.py
"""

import pathlib

import librosa
import numpy as np
import scipy.signal
from safetensors.numpy import save_file
from transformers.audio_utils import mel_filter_bank

RATE, WINDOW, FFT, HOP, MELS, TOP = 32000, 800, 1024, 320, 128, 15000.0
OUTPUT = pathlib.Path(__file__).parents[2] / "Tests/AudioFeaturesTests/Golden/features.safetensors"


def test_signal(count: int) -> np.ndarray:
    """A chirp, noise, a click, and silence, so that loud, quiet and empty frames all occur."""
    rng = np.random.default_rng(7)
    time = np.arange(count) / RATE
    signal = 0.1 * np.sin(2 * np.pi * (200 * time + 0.5 * 60000 * time**2)) + 0.01 * rng.standard_normal(count)
    signal[count // 3] = 1.0
    signal[-2 * WINDOW :] = 0.0
    return signal.astype(np.float32)


def main() -> None:
    samples = test_signal(6000)
    window = scipy.signal.get_window("hann", WINDOW, fftbins=False)
    padded = np.concatenate([window, np.zeros(FFT - WINDOW)])

    def power(x: np.ndarray) -> np.ndarray:
        # librosa frames FFT samples; the zeros of the window (and at the signal's end) make that WINDOW samples.
        x = np.concatenate([x.astype(np.float64), np.zeros(FFT - WINDOW)])
        stft = librosa.stft(x, n_fft=FFT, hop_length=HOP, win_length=FFT, window=padded, center=False)
        return np.abs(stft.T) ** 2

    bank = mel_filter_bank(
        num_frequency_bins=FFT // 2 + 1, num_mel_filters=MELS, min_frequency=0.0, max_frequency=TOP,
        sampling_rate=RATE, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True)
    emphasised = samples.astype(np.float64)
    emphasised[1:] -= 0.97 * samples[:-1].astype(np.float64)
    logmel = (np.log(power(emphasised) @ bank + 1e-5) + 4.5) / 5
    tensors = {
        "samples": samples,
        "window": window,
        "periodic_window": scipy.signal.get_window("hann", WINDOW, fftbins=True),
        "power": power(samples)[::4],
        "mel_bank": bank,
        "logmel": logmel,
    }
    tensors = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in tensors.items()}
    # Nearly all of the bank is zero: stored as its weights that are not, with their positions.
    dense = tensors.pop("mel_bank")
    rows, columns = np.nonzero(dense)
    tensors["mel_bank_rows"] = rows.astype(np.float32)
    tensors["mel_bank_columns"] = columns.astype(np.float32)
    tensors["mel_bank_weights"] = dense[rows, columns]
    save_file(tensors, OUTPUT)
    for name, value in tensors.items():
        print(name, value.shape)


if __name__ == "__main__":
    main()
