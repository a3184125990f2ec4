"""What the server says instead of an answer: a status, a stable code and one fixed sentence.

Nothing that a request brought, and nothing about the machine, is ever put into a sentence.
"""

__all__ = ["IMAGE_CODES", "REFUSALS", "Refusal"]

# code -> (HTTP status, sentence)
REFUSALS = {
    "unauthorized": (401, "A valid key is needed: Authorization: Bearer KEY."),
    "forbidden": (403, "This key may not do that."),
    "cross_site": (403, "Requests from pages of other sites are refused."),
    "wrong_host": (421, "This host name is not served here."),
    "too_many_wrong_keys": (429, "Too many wrong keys from this address. Wait a minute."),
    "rate_limited": (429, "More requests than this key may send at once."),
    "budget_used_up": (429, "The daily number of images of this key is used up."),
    "busy": (503, "The server has as much work as it takes on. Try again."),
    "not_ready": (503, "The server is starting or stopping. Try again."),
    "audit_failed": (503, "The request could not be recorded, so it is not answered."),
    "not_found": (404, "There is nothing here."),
    "unknown_model": (404, "There is no such model, or this key may not use it."),
    "method_not_allowed": (405, "This address does not take that method."),
    "bad_request": (400, "The request cannot be understood."),
    "no_image": (400, "The request holds no image."),
    "too_many_images": (413, "More images than one request may hold."),
    "body_too_large": (413, "The request is larger than allowed."),
    "slow_body": (408, "The request came in too slowly."),
    "unsupported_media": (415, "Send an image as the body, with its Content-Type, or images as multipart/form-data."),
    "internal": (500, "Something went wrong. Report the id."),
    "not_finite": (500, "The model gave no finite answer for this image."),
    # What is wrong with an image: the codes of ImageError, and what a decoding process may end with.
    "not_an_image": (415, "This is not an image file."),
    "unsupported": (415, "This kind of image file is not supported."),
    "truncated": (422, "The image file ends too early."),
    "damaged": (422, "The image file is damaged."),
    "float_range": (422, "Pixels are floating point numbers of unknown range."),
    "too_large": (413, "The image has more pixels than allowed."),
    "too_small": (422, "The image has too few pixels."),
    "undecodable": (422, "The image could not be decoded safely."),
    "wrong_size": (422, "The image does not have the size that this model takes."),
}

IMAGE_CODES = frozenset(
    {"not_an_image", "unsupported", "truncated", "damaged", "float_range", "too_large", "too_small"}
    | {"undecodable", "wrong_size", "not_finite"}
)


class Refusal(Exception):  # noqa: N818 - an answer, not a fault
    """A request, or one image of it, that gets no answer. `retry_after_s`: when to try again, where that helps."""

    def __init__(self, code: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status, self.message = REFUSALS[code]
        self.retry_after_s = retry_after_s
