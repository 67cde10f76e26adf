"""PDFs, made by hand: each says just what a test wants."""

from collections.abc import Sequence


def pdf(*pages: str, extra: Sequence[bytes] = ()) -> bytes:
    """A PDF with a line of text on each page. `extra` are objects besides, numbered after all others."""
    contents = [f"BT /F1 12 Tf 72 720 Td ({page}) Tj ET".encode("latin-1") for page in pages]
    return pdf_of([b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content) for content in contents], extra)


def pdf_of(contents: Sequence[bytes], extra: Sequence[bytes] = ()) -> bytes:
    """A PDF of these content streams, one for each page."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * index) for index in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, content in enumerate(contents):
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % (5 + 2 * index)
        )
        objects.append(content)
    file, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, body in enumerate([*objects, *extra], start=1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start, count = len(file), len(offsets) + 1
    file += b"xref\n0 %d\n0000000000 65535 f \n" % count
    file += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    file += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (count, start)
    return bytes(file)
