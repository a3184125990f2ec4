"""The images of a request."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from imgrec.serve.engine.admission import Admission
from imgrec.serve.http.refusals import Refusal
from imgrec.serve.http.upload import UploadLimits, read_images

FORM = "multipart/form-data; boundary=edge"
LIMITS = UploadLimits(max_bytes=1000, max_images=3)


def part(
    content: bytes, *, headers: bytes = b'content-disposition: form-data; name="image"; filename="a.jpg"'
) -> bytes:
    return b"--edge\r\n" + headers + b"\r\n\r\n" + content + b"\r\n"


def read(
    body: bytes | Iterable[bytes], content_type: str, *, length: str | None = None, admission: Admission | None = None
) -> list[bytes]:
    taken: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in [body] if isinstance(body, bytes) else body:
            taken.append(len(chunk))
            yield chunk

    counted = admission or Admission(max_images=9, max_bytes=10_000)
    try:
        return asyncio.run(
            read_images(chunks(), content_type=content_type, length=length, limits=LIMITS, admission=counted)
        )
    finally:
        assert counted.bytes == 0
        read.taken = sum(taken)  # type: ignore[attr-defined]


def refused(*arguments: object, **options: object) -> str:
    with pytest.raises(Refusal) as caught:
        read(*arguments, **options)  # type: ignore[arg-type]
    return caught.value.code


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/png", "application/octet-stream", "image/anything; q=1"])
def test_a_raw_body_is_one_image(kind: str):
    assert read([b"ab", b"c"], kind) == [b"abc"]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_form_holds_images_in_their_order_however_it_is_cut(size: int):
    body = part(b"one") + part(b"two\r\n--edg") + part(b"") + b"--edge--\r\n"
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    assert read(pieces, FORM) == [b"one", b"two\r\n--edg", b""]


def test_fields_that_are_no_files_are_passed_over():
    body = part(b"x", headers=b'content-disposition: form-data; name="note"') + part(b"one") + b"--edge--\r\n"
    assert read(body, FORM) == [b"one"]


def test_a_name_that_is_a_path_is_only_a_sign_that_it_is_a_file():
    headers = b'Content-Disposition: form-data; name="../x"; filename="../../etc/passwd"\r\nX-Other: y'
    assert read(part(b"one", headers=headers) + b"--edge--\r\n", FORM) == [b"one"]


def test_a_body_that_is_too_large_is_refused_before_it_is_all_read():
    assert refused([b"x" * 400] * 100, "image/png") == "body_too_large"
    assert read.taken == 1200  # type: ignore[attr-defined]
    assert read(b"x" * 1000, "image/png") == [b"x" * 1000]


def test_a_length_that_is_too_large_is_refused_before_anything_is_read():
    assert refused(b"x", "image/png", length="1001") == "body_too_large"
    assert read.taken == 0  # type: ignore[attr-defined]
    assert read(b"x", "image/png", length="nonsense") == [b"x"]


def test_too_many_images_are_refused():
    assert refused(part(b"x") * 4 + b"--edge--\r\n", FORM) == "too_many_images"


@pytest.mark.parametrize("body", [b"", b"--edge--\r\n", part(b"x", headers=b"content-disposition: form-data")])
def test_no_image_is_said(body: bytes):
    assert refused(body, FORM) in ("no_image", "bad_request")
    assert refused(b"", "image/png") == "no_image"


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json", "application/x-www-form-urlencoded", "imagex"])
def test_another_kind_of_body_is_refused(kind: str):
    assert refused(b"x", kind) == "unsupported_media"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (part(b"x"), FORM),  # cut off before its end
        (b"nonsense", FORM),
        (part(b"x", headers=b"content-disposition") + b"--edge--", FORM),
        (part(b"x"), "multipart/form-data"),
        (part(b"x"), "multipart/form-data; boundary="),
        (part(b"x"), "multipart/form-data; boundary=" + "x" * 201),
        (part(b"x", headers=b"a: " + b"b" * 900), FORM),
    ],
)
def test_a_form_that_is_none_is_refused(body: bytes, kind: str):
    assert refused(body, kind) in ("bad_request", "no_image")


def test_headers_of_a_part_without_end_are_refused():
    pieces = [b"--edge\r\na: ", *[b"b" * 100] * 9]
    assert refused(pieces, FORM) == "bad_request"


def test_parts_without_number_are_refused_long_before_the_end():
    field = part(b"", headers=b"a: b")
    assert read(field * 32 + part(b"one") + b"--edge--\r\n", FORM) == [b"one"]
    pieces = [field] * 45
    assert refused([*pieces, b"--edge--\r\n"], FORM) == "bad_request"
    assert read.taken <= 37 * len(field)  # type: ignore[attr-defined]


def test_bytes_of_all_requests_together_are_limited_and_given_back():
    admission = Admission(max_images=9, max_bytes=500)
    assert refused([b"x" * 300] * 2, "image/png", admission=admission) == "busy"
    assert read(b"x" * 500, "image/png", admission=admission) == [b"x" * 500]
