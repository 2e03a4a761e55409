"""The 52 kinds of artwork that every repeat of the legacy table consists of: 20 uploads, each twice, and 12 tests.

A `Row` says in plain values what one row looks like; the SQL beside this file only adds what differs from repeat to
repeat. So everything that is true of the rows can be counted here, without asking a database. `#` stands for the
repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

MAIL = "@mail.example"
SHOP = "hello@pawpop.example"
FAL = "https://v3.fal.media/files/monkey/"
UPLOADS = 20
#: The patterns of test data.
TESTS = ("upload", "address", "tester", "picture", "token")

COMPLETED, PENDING, FAILED = "completed", "pending", "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One order; `sent` says whether the printer has it."""

    product: str
    status: str = "paid"
    sent: bool = False

    @property
    def paid_print(self) -> bool:
        """Whether it was paid and is printed."""
        return self.product != "digital" and self.status in {"paid", "processing", "shipped", "delivered"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of the mix."""

    upload: int | None
    email: str
    name: str
    pet_name: str | None = "Buddy"
    twin: bool = False
    status: str = COMPLETED
    #: Where the picture is, without the part that differs; NULL where none was made.
    generated: str | None = FAL
    upscale: str = "pending"
    original: str | None = "pending"
    #: Whether the pictures it was made from are known, which they were in the first weeks only.
    pet_urls: bool = False
    mockups: str | None = None
    token: str | None = "hex"  # noqa: S105 -- it is a kind
    expires: bool = True
    #: Whether support has made the link last.
    lasting: bool = False
    #: The registered user the row names.
    user: str | None = None
    order: Order | None = None
    reviewed: bool = False
    #: By which rule it is a test.
    test: str | None = None

    @property
    def folded(self) -> str:
        """The address as it is compared."""
        return self.email.strip(" ").lower()

    @property
    def left_out(self) -> bool:
        """Whether it is test data; what was ordered never is."""
        return self.test is not None and self.order is None

    @property
    def dirty(self) -> bool:
        """Whether a column holds what the new table cannot take as it is."""
        return self.token is None or not self.expires or not self.folded or self.original is None


@dataclass(frozen=True, kw_only=True, slots=True)
class User:
    """A registered user; `role` is the name by which rows point at him."""

    role: str
    email: str


USERS = (
    User(role="ana", email=f"Ana.#{MAIL}"),  # orders under the same address, spelled otherwise
    User(role="berta", email=f"berta.#{MAIL}"),  # the artwork names her; its address is another's
    User(role="stranger", email=f"gift.#{MAIL}"),  # registered with the address of Berta's artwork
    User(role="leaver", email=f"leaver.account.#{MAIL}"),  # deletes his account while the change runs
)

# Of the first ten uploads each differs from all others.
_DONE = (
    Row(
        upload=1,
        email=f"Jane.Doe.#{MAIL}",
        name="Jane Doe",
        upscale="completed",
        mockups="array",
        lasting=True,
        order=Order(product="art_print", status="shipped", sent=True),
        reviewed=True,
    ),
    Row(
        upload=2,
        email=f"jane.doe.#{MAIL}",
        name="Jane Doe",
        pet_name="Luna",
        upscale="completed",
        mockups="array",
        lasting=True,
        order=Order(product="framed_canvas", sent=True),
    ),
    Row(
        upload=3,
        email=f"MAX.#{MAIL}",
        name="Max Power",
        upscale="completed",
        mockups="array",
        order=Order(product="art_print", sent=True),
    ),
    Row(
        upload=4,
        email=f" max.#{MAIL} ",
        name="Max Power",
        upscale="completed",
        mockups="object",
        order=Order(product="art_print", sent=True),
    ),
    Row(
        upload=5,
        email=f"ana.#{MAIL}",
        name="Ana Ñandú",
        upscale="completed",
        order=Order(product="framed_canvas", sent=True),
    ),
    Row(
        upload=6,
        email=f"gift.#{MAIL}",
        name="Berta",
        user="berta",
        upscale="not_required",
        order=Order(product="digital"),
    ),
    Row(upload=7, email=f"leaver.#{MAIL}", name="Leo Leaver", user="leaver", upscale="not_required"),
    Row(
        upload=8,
        email=f"upload8.#{MAIL}",
        name="Óscar 8",
        original=None,
        upscale="not_required",
        order=Order(product="digital", status="delivered", sent=True),
    ),
    Row(
        upload=9,
        email=f"upload9.#{MAIL}",
        name="Early Bird",
        original="https://utfs.example/f/original-#.jpg",
        pet_urls=True,
        upscale="not_required",
        order=Order(product="art_print", status="cancelled"),
    ),
    Row(upload=10, email=f"upload10.#{MAIL}", name="Ten", order=Order(product="art_print")),
    Row(upload=11, email=f"upload11.#{MAIL}", name="Eleven", token=None),
)


def _with_picture() -> list[Row]:
    """Give the uploads whose tab was closed: the picture was made, and the status never changed."""
    rows = [
        Row(upload=number, email=f"upload{number}.#{MAIL}", name=f"Closed Tab {number}", status=PENDING)
        for number in range(12, 18)
    ]
    rows[0] = replace(rows[0], order=Order(product="art_print"), reviewed=True)
    rows[1] = replace(rows[1], order=Order(product="art_print", status="failed"), expires=False)
    rows[4] = replace(rows[4], token=None)
    return rows


def _failed() -> list[Row]:
    rows = [
        Row(upload=number, email=f"upload{number}.#{MAIL}", name=f"No Luck {number}", status=FAILED, generated=None)
        for number in range(18, 21)
    ]
    rows[0] = replace(rows[0], order=Order(product="art_print"))
    return rows


def _twin(first: Row) -> Row:
    """Make the second record of the same upload: nothing ever happens to it, and the first e-mail links to it."""
    twin = Row(
        upload=first.upload,
        email=first.email,
        name=first.name,
        pet_name=first.pet_name,
        twin=True,
        status=PENDING,
        generated=None,
        lasting=first.lasting,
    )
    if first.upload == 14:  # noqa: PLR2004 -- the number is the upload's
        return replace(twin, expires=False)
    return replace(twin, email="  ") if first.upload == UPLOADS else twin


def _tests() -> list[Row]:
    """Give what developers left: five patterns, one of them ordered by a real customer."""
    dev = Row(upload=None, email=f"dev.#{MAIL}", name="Dev", status=PENDING, generated=None)
    own = replace(dev, email=SHOP, name="TESTER", test="tester")
    buyer = replace(
        dev,
        email="buyer.#@test.example",
        name="Buyer",
        status=COMPLETED,
        generated=FAL,
        order=Order(product="digital"),
        test="address",
    )
    return [
        *[replace(dev, original="test-pending", test="upload")] * 3,
        replace(dev, original="test-uploaded", status=COMPLETED, generated=FAL, test="upload"),
        buyer,
        replace(dev, email="a.#@test.example", test="address"),
        replace(dev, email="B.#@Test.Example", status=FAILED, test="address"),
        own,
        replace(own, status=COMPLETED, generated=FAL),
        replace(dev, status=COMPLETED, generated="https://example.com/", test="picture"),
        replace(dev, original="https://test.com/upload.jpg", test="picture"),
        replace(dev, token="test", status=COMPLETED, generated=FAL, test="token"),  # noqa: S106 -- it is a kind
    ]


FIRSTS = (*_DONE, *_with_picture(), *_failed())
MIX: tuple[Row, ...] = (*(row for first in FIRSTS for row in (first, _twin(first))), *_tests())
