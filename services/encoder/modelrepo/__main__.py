"""``python -m services.encoder.modelrepo``: write the model repository, or compare its variants."""

import argparse
import sys
from pathlib import Path

from services.encoder.modelrepo.errors import ModelRepositoryError
from services.encoder.modelrepo.manifest import Variant
from services.encoder.modelrepo.triton_files import Serving
from services.encoder.modelrepo.writer import RepositoryOptions, write_repository


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 1 with the reason on standard error."""
    words = sys.argv[1:] if arguments is None else arguments
    comparing = words[:1] == ["compare"]
    parsed = _parser(comparing).parse_args(words[1:] if comparing else words)
    try:
        write_repository(parsed.repository, _options(parsed), _say)
        if comparing:
            from services.encoder.modelrepo.compare import Sample, run_comparison

            run_comparison(parsed.repository, Sample(parsed.texts, parsed.count), parsed.json, _say)
    except ModelRepositoryError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _parser(comparing: bool) -> argparse.ArgumentParser:
    program = "python -m services.encoder.modelrepo" + (" compare" if comparing else "")
    about = (
        "Compares the FP32 and INT8 variants with the model run by transformers: agreement, latency, size."
        if comparing
        else "Writes the text encoder into a Triton model repository. Returns at once when it is up to date. "
        "'compare' as the first word compares the variants instead."
    )
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("--repository", type=Path, required=True, help="folder of the model repository")
    parser.add_argument("--model", help="folder or Hugging Face id of a sentence encoder (default: all-MiniLM-L6-v2)")
    parser.add_argument(
        "--variant", type=Variant, choices=list(Variant), default=Variant.INT8, help="what to serve (default: int8)"
    )
    parser.add_argument("--instances", type=int, default=0, help="Triton instances; 0: one a core (default)")
    parser.add_argument("--max-batch", type=int, default=16, help="most texts of one run (default: 16)")
    parser.add_argument("--queue-delay", type=int, default=0, help="microseconds a request waits for others")
    if comparing:
        parser.add_argument("--texts", type=Path, help="file of texts, one a line (default: demo product titles)")
        parser.add_argument("--count", type=int, default=800, help="texts to compare on (default: 800)")
        parser.add_argument("--json", type=Path, help="file for the figures")
    return parser


def _options(parsed: argparse.Namespace) -> RepositoryOptions:
    serving = Serving(
        instances=parsed.instances, max_batch=parsed.max_batch, queue_delay_microseconds=parsed.queue_delay
    )
    return RepositoryOptions(model=parsed.model, variant=parsed.variant, serving=serving)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
