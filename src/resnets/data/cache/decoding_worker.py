"""A process that decodes: ``python -m resnets.data.cache.decoding_worker images.npy START SIZE``...

Reads a request a line from standard input, a ``blocks.DecodeRequest`` as JSON, and writes the
block's pixels into the file. Answers on standard output: ``row N`` before each image, then a line
of
JSON: the ``blocks.DecodedBlock`` or ``{"refused": what}``. Ends with its standard input: when the
    process
that started it is gone, however it went.
"""

import contextlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path

from PIL import Image

from resnets.data.cache.blocks import DecodeRequest, FileTarget, decode_block


def main() -> None:
    """Answer requests until there are no more."""
    warnings.simplefilter("ignore")  # decoders warn of odd metadata
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asked
    path, start, size, channels, limit = sys.argv[1:]
    Image.MAX_IMAGE_PIXELS = int(limit) if limit != "none" else None
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    sys.stdout = sys.stderr  # a library that prints does not break the conversation

    def begin(row: int) -> None:
        answers.write(f"row {row}\n")

    with contextlib.closing(FileTarget(Path(path), int(start))) as target:
        for line in sys.stdin:
            request = DecodeRequest.from_json(json.loads(line))
            try:
                done = decode_block(
                    request, int(size), channels=int(channels), target=target, begin=begin
                )
            except OSError as problem:
                answer = {"refused": problem.strerror or str(problem), "number": problem.errno}
            except MemoryError:
                answer = {"refused": "the memory is not enough", "number": None}
            else:
                answer = done.to_json()
            answers.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
