"""Time in containers: sound that begins late, gaps and steps back, by the time stamps of a stream's frames.

A decoder gives the frames that there are, one after the other. Where a container says that they do not follow one
another in time (a microphone that was muted, a camera that began first, packets that were lost), labels made with a
player lie later than the sound that was decoded.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from earmark.audio.defects import BACK, GAP, LATE, defect
from earmark.errors import BadAudioError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

# A jump in time that is told. Codecs' delays are below, and so is the rounding of containers' clocks (1 ms in most).
JUMP_S = 0.1
MOST_SILENCE_S = 86_400.0  # put into one recording: more is a clock that was set, no sound that is missing
# Demuxers whose frames carry times of their own, by FFmpeg's names; in the others FFmpeg makes them up.
ABSOLUTE = {"mov", "matroska"}  # time 0 is where the file begins
RELATIVE = {"mpegts", "mpeg", "flv", "asf", "rm"}  # the clock begins anywhere: 0 is where the first stream does


@dataclass
class Timeline:
    """Where a stream's next frame should begin. `keep`: media time is kept, by silence where there are gaps."""

    rate_hz: int
    zero_s: float | None  # None: the container's times say nothing
    keep: bool = False
    jumps: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # by kind: seconds, and where
    _samples: int = 0  # since `_begin_s`
    _begin_s: float | None = None
    _silence: int = 0

    def silence_before(self, frame: "AudioFrame") -> int:
        """Take a frame's time; return the samples of silence that belong before it, 0 unless media time is kept."""
        silence = 0
        if self.zero_s is not None and frame.time is not None:
            starts_s = frame.time - self.zero_s
            expected_s = 0.0 if self._begin_s is None else self._begin_s + self._samples / self.rate_hz
            jump_s = starts_s - expected_s
            if abs(jump_s) > JUMP_S:
                kind = BACK if jump_s < 0 else GAP if self._begin_s is not None else LATE
                self.jumps.setdefault(kind, []).append((jump_s, expected_s))
                silence = self._counted(jump_s)
            if self._begin_s is None or abs(jump_s) > JUMP_S:
                self._begin_s, self._samples = starts_s, 0
        self._samples += frame.samples
        return silence

    def _counted(self, jump_s: float) -> int:
        """Return the samples of silence for a jump. Raises BadAudioError for more than any recording lacks."""
        if not self.keep or jump_s < 0:
            return 0
        samples = round(jump_s * self.rate_hz)
        self._silence += samples
        if self._silence > MOST_SILENCE_S * self.rate_hz:
            detail = f"expected time stamps within a day of each other, got a jump of {jump_s:,.3f} s"
            raise BadAudioError("wrong time stamps", detail, "media_time")
        return samples

    def defects(self) -> list[str]:
        """Return what there is to tell, one line a kind; nothing of what was filled with silence, as was asked for."""
        lines = []
        for kind, jumps in self.jumps.items():
            if self.keep and kind != BACK:
                continue
            seconds, at_s = jumps[0]
            found = f"{abs(seconds):.3f} s" if kind == LATE else f"{abs(seconds):.3f} s at {at_s:.3f} s"
            if len(jumps) > 1:
                found += f", and {len(jumps) - 1:,} more, {sum(abs(one) for one, _ in jumps):.3f} s in all"
            lines.append(defect(kind, found))
        return lines


def timeline_of(media: "InputContainer", stream: "AudioStream", keep: bool) -> Timeline:
    """Return the timeline of an audio stream, before its first frame."""
    names = {*media.format.name.split(",")}
    zero_s = 0.0 if names & ABSOLUTE else (media.start_time or 0) / 1e6 if names & RELATIVE else None  # microseconds
    return Timeline(stream.codec_context.sample_rate, zero_s, keep)
