"""Names of people and ids of offices in running text, by Presidio: an extra, `pip install .[presidio]`.

It reads English, with the model of spaCy that its own documentation installs:
`python -m spacy download en_core_web_lg`.
"""

from collections.abc import Iterator
from importlib import import_module

from bot.errors import LocalPartError
from bot.redaction.found import Finder, Found

KINDS = {
    "PERSON": "person",
    "US_SSN": "id number",
    "US_PASSPORT": "id number",
    "US_DRIVER_LICENSE": "id number",
    "US_ITIN": "id number",
    "UK_NHS": "id number",
    "MEDICAL_LICENSE": "id number",
    "CRYPTO": "account number",
    "US_BANK_NUMBER": "account number",
}
"""Of Presidio's entities those that nothing else here finds, and what stands in their place."""
LEAST_SCORE = 0.5
MODEL = "en_core_web_lg"


def presidio() -> Finder:
    """Finds what Presidio does. Raises LocalPartError where it is not installed."""
    try:
        import_module(MODEL)  # Presidio would fetch a missing one from the network by itself
        analyzer = import_module("presidio_analyzer").AnalyzerEngine()
    except (ImportError, OSError) as error:
        raise LocalPartError(
            f"REDACT_NAMES is set and Presidio cannot be used ({type(error).__name__}): install it with "
            f"`pip install .[presidio]` and `python -m spacy download {MODEL}`, or take REDACT_NAMES out."
        ) from None

    def find(text: str) -> Iterator[Found]:
        end = 0
        results = analyzer.analyze(text=text, language="en", entities=list(KINDS), score_threshold=LEAST_SCORE)
        for result in sorted(results, key=lambda result: (result.start, -result.end)):
            if result.start >= end:
                end = result.end
                yield Found(result.start, result.end, KINDS[result.entity_type])

    return find
