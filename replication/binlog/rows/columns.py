"""Columns as a table map tells them: how long a value is in a row image, and what it says.

Formats: the MySQL server's sql/log_event.cc and sql/field.cc (5.6 to 9.x), libbinlogevents; MariaDB's are the same but
for its compressed columns. A value is decoded where it can be; else it is bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import TypeAlias


class ColumnType(IntEnum):
    """Type codes of columns (enum_field_types)."""

    DECIMAL = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    NEWDATE = 14
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    MARIADB_BLOB_COMPRESSED = 140
    MARIADB_VARCHAR_COMPRESSED = 141
    VECTOR = 242
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    TINY_BLOB = 249
    MEDIUM_BLOB = 250
    LONG_BLOB = 251
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


T = ColumnType
#: What a value says: None for NULL.
Value: TypeAlias = int | float | Decimal | str | bytes | None

_FIXED = {
    T.TINY: 1,
    T.SHORT: 2,
    T.INT24: 3,
    T.LONG: 4,
    T.LONGLONG: 8,
    T.FLOAT: 4,
    T.DOUBLE: 8,
    T.NULL: 0,
    T.YEAR: 1,
    T.DATE: 3,
    T.NEWDATE: 3,
    T.TIME: 3,
    T.DATETIME: 8,
    T.TIMESTAMP: 4,
}
_FRACTIONAL = {T.TIMESTAMP2: 4, T.DATETIME2: 5, T.TIME2: 3}
_BLOBS = frozenset(
    {
        T.TINY_BLOB,
        T.MEDIUM_BLOB,
        T.LONG_BLOB,
        T.BLOB,
        T.GEOMETRY,
        T.JSON,
        T.VECTOR,
        T.MARIADB_BLOB_COMPRESSED,
    }
)
_VARYING = frozenset({T.VARCHAR, T.VAR_STRING, T.MARIADB_VARCHAR_COMPRESSED})
#: Bytes of metadata that a table map has of a column.
_METADATA = {
    T.FLOAT: 1,
    T.DOUBLE: 1,
    T.BIT: 2,
    T.NEWDECIMAL: 2,
    T.STRING: 2,
    T.ENUM: 2,
    T.SET: 2,
    **dict.fromkeys(_FRACTIONAL, 1),
    **dict.fromkeys(_BLOBS, 1),
    **dict.fromkeys(_VARYING, 2),
}
NUMERIC = frozenset({T.TINY, T.SHORT, T.INT24, T.LONG, T.LONGLONG, T.FLOAT, T.DOUBLE, T.NEWDECIMAL})
#: Their bytes may be other ones and mean the same in a collation.
TEXT = frozenset({*_VARYING, T.STRING, T.TINY_BLOB, T.MEDIUM_BLOB, T.LONG_BLOB, T.BLOB})
#: Bytes of the digits that are left over of a decimal's groups of nine.
_LEFT_OVER = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
#: Offset that makes the integers of DATETIME2 and TIME2 sort as unsigned.
_DATETIME2_ZERO, _TIME2_ZERO = 0x8000000000, 0x800000


@dataclass(frozen=True)
class Column:
    """``meta`` is its metadata; ``unsigned`` is None where the log does not tell, ``name`` empty likewise."""

    type: ColumnType
    meta: int = 0
    unsigned: bool | None = None
    name: str = ""


def metadata_size(kind: int) -> int:
    """How many bytes a table map has of such a column. Raises ValueError for a type that is not known."""
    return _METADATA.get(T(kind), 0)


def column_of(kind: int, meta: bytes) -> Column:
    """A column; a STRING's metadata tell what it really is. Raises ValueError."""
    real = T(kind)
    if real is T.STRING:
        first, length = meta
        if first & 0x30 != 0x30:
            # CHAR of more than 255 bytes: two bits of the length are kept in the type (MySQL bug 37426).
            return Column(T(first | 0x30), length | ((first & 0x30) ^ 0x30) << 4)
        return Column(T(first), length)
    if real in (T.ENUM, T.SET):
        return Column(real, meta[1])
    if real is T.NEWDECIMAL:
        return Column(real, meta[0] << 8 | meta[1])
    return Column(real, int.from_bytes(meta, "little"))


def value_size(column: Column, data: bytes, at: int) -> int:
    """Bytes of the value that begins there. Raises ValueError, IndexError."""
    kind, meta = column.type, column.meta
    if (fixed := _FIXED.get(kind)) is not None:
        return fixed
    if (whole := _FRACTIONAL.get(kind)) is not None:
        return whole + (meta + 1) // 2
    if kind in _BLOBS:
        if not 1 <= meta <= 4 or at + meta > len(data):
            raise ValueError(f"a blob's length of {meta} bytes")
        return meta + int.from_bytes(data[at : at + meta], "little")
    if kind in _VARYING or kind is T.STRING:
        prefix = 1 if meta < 256 else 2
        if at + prefix > len(data):
            raise ValueError("it ends within a length")
        return prefix + int.from_bytes(data[at : at + prefix], "little")
    if kind is T.NEWDECIMAL:
        return _decimal_size(meta >> 8, meta & 0xFF)
    if kind is T.BIT:
        return (meta >> 8) + (1 if meta & 0xFF else 0)
    if kind in (T.ENUM, T.SET):
        return meta
    raise ValueError(f"a value of the type {kind.name}")


def payload(column: Column, raw: bytes) -> bytes:
    """The bytes of a value without its length."""
    if column.type in _BLOBS:
        return raw[column.meta :]
    if column.type in _VARYING or column.type is T.STRING:
        return raw[1 if column.meta < 256 else 2 :]
    return raw


def decode(column: Column, raw: bytes, *, unsigned: bool = False) -> Value:
    """What a value says; ``unsigned`` counts where the log does not tell. Bytes for what is none of text or number."""
    signed = not (unsigned if column.unsigned is None else column.unsigned)
    kind = column.type
    if kind in (T.TINY, T.SHORT, T.INT24, T.LONG, T.LONGLONG):
        return int.from_bytes(raw, "little", signed=signed)
    if (special := _DECODED.get(kind)) is not None:
        try:
            return special(column, raw)
        except (ValueError, ArithmeticError, LookupError, struct.error, OSError):
            return raw
    data = payload(column, raw)
    if kind in TEXT and kind not in (T.MARIADB_VARCHAR_COMPRESSED,):
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            return data
        return text if text.isprintable() or text.replace("\n", "").replace("\t", "").isprintable() else data
    return data


def _decimal_size(precision: int, scale: int) -> int:
    whole = precision - scale
    if whole < 0:
        raise ValueError(f"a decimal of {precision} digits, {scale} of them behind the point")
    return (whole // 9 + scale // 9) * 4 + _LEFT_OVER[whole % 9] + _LEFT_OVER[scale % 9]


def _decimal(column: Column, raw: bytes) -> Decimal:
    """Groups of nine digits in four bytes, those left over before and behind; the first bit is set for what is not
    negative, all bits are turned for what is (strings/decimal.c, decimal2bin)."""
    precision, scale = column.meta >> 8, column.meta & 0xFF
    whole = precision - scale
    negative = not raw[0] & 0x80
    data = bytes([raw[0] ^ 0x80]) + raw[1:]
    if negative:
        data = bytes(byte ^ 0xFF for byte in data)
    groups = [(_LEFT_OVER[whole % 9], whole % 9)] + [(4, 9)] * (whole // 9)
    behind = [(4, 9)] * (scale // 9) + [(_LEFT_OVER[scale % 9], scale % 9)]
    at, digits = 0, ""
    for size, count in (*groups, *behind):
        if count:
            digits += str(int.from_bytes(data[at : at + size], "big")).rjust(count, "0")
        at += size
    point = f"{digits[: len(digits) - scale] or '0'}.{digits[len(digits) - scale :]}" if scale else digits
    return Decimal(("-" if negative else "") + point)


def _fraction(meta: int, raw: bytes) -> str:
    if not meta:
        return ""
    size = (meta + 1) // 2
    return "." + str(int.from_bytes(raw[-size:], "big")).rjust(size * 2, "0")[:meta]


def _moment(seconds: int) -> str:
    """In UTC, as a session of that time zone has it; 0 is no moment."""
    if not seconds:
        return "0000-00-00 00:00:00"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _timestamp2(column: Column, raw: bytes) -> str:
    return _moment(int.from_bytes(raw[:4], "big")) + _fraction(column.meta, raw)


def _datetime2(column: Column, raw: bytes) -> str:
    packed = int.from_bytes(raw[:5], "big") - _DATETIME2_ZERO
    days, clock = packed >> 17, packed & 0x1FFFF
    months, day = days >> 5, days & 31
    return (
        f"{months // 13:04}-{months % 13:02}-{day:02} {clock >> 12:02}:{clock >> 6 & 63:02}:{clock & 63:02}"
        f"{_fraction(column.meta, raw)}"
    )


def _time2(column: Column, raw: bytes) -> str:
    """The whole and the fraction are one number, so that of a negative one borrows from the other."""
    size = (column.meta + 1) // 2
    packed = int.from_bytes(raw, "big") - (_TIME2_ZERO << (8 * size))
    sign, packed = ("-", -packed) if packed < 0 else ("", packed)
    whole, behind = packed >> (8 * size), packed & ((1 << (8 * size)) - 1)
    fraction = "." + str(behind).rjust(size * 2, "0")[: column.meta] if column.meta else ""
    return f"{sign}{whole >> 12 & 0x3FF:02}:{whole >> 6 & 63:02}:{whole & 63:02}{fraction}"


def _date(_: Column, raw: bytes) -> str:
    packed = int.from_bytes(raw, "little")
    return f"{packed >> 9:04}-{packed >> 5 & 15:02}-{packed & 31:02}"


def _time(_: Column, raw: bytes) -> str:
    packed = int.from_bytes(raw, "little", signed=True)
    sign, packed = ("-", -packed) if packed < 0 else ("", packed)
    return f"{sign}{packed // 10000:02}:{packed // 100 % 100:02}:{packed % 100:02}"


def _datetime(_: Column, raw: bytes) -> str:
    day, clock = divmod(int.from_bytes(raw, "little"), 1_000_000)
    return (
        f"{day // 10000:04}-{day // 100 % 100:02}-{day % 100:02} "
        f"{clock // 10000:02}:{clock // 100 % 100:02}:{clock % 100:02}"
    )


def _float(column: Column, raw: bytes) -> float:
    (number,) = struct.unpack("<f" if column.type is T.FLOAT else "<d", raw)
    return float(number)


_DECODED: dict[ColumnType, Callable[[Column, bytes], Value]] = {
    T.FLOAT: _float,
    T.DOUBLE: _float,
    T.NEWDECIMAL: _decimal,
    T.YEAR: lambda _, raw: raw[0] + 1900 if raw[0] else 0,
    T.DATE: _date,
    T.NEWDATE: _date,
    T.TIME: _time,
    T.DATETIME: _datetime,
    T.TIMESTAMP: lambda _, raw: _moment(int.from_bytes(raw, "little")),
    T.TIMESTAMP2: _timestamp2,
    T.DATETIME2: _datetime2,
    T.TIME2: _time2,
    T.BIT: lambda _, raw: int.from_bytes(raw, "big"),
    T.ENUM: lambda _, raw: int.from_bytes(raw, "little"),
    T.SET: lambda _, raw: int.from_bytes(raw, "little"),
}
