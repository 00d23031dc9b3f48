// Numbers of the zip format (PKWARE's APPNOTE.TXT 6.3). Private.
#pragma once

#include <cstddef>
#include <cstdint>

namespace linnet::zip {

// The first four bytes of the records, and their bytes without what is of variable length.
inline constexpr uint32_t kHeaderMark = 0x04034B50;  // before the content of a member
inline constexpr size_t kHeaderBytes = 30;
inline constexpr uint32_t kEntryMark = 0x02014B50;  // in the directory
inline constexpr size_t kEntryBytes = 46;
inline constexpr uint32_t kEndMark = 0x06054B50;
inline constexpr size_t kEndBytes = 22;
inline constexpr uint32_t kLargeEndMark = 0x06064B50;  // the end record with 64-bit numbers
inline constexpr size_t kLargeEndBytes = 56;
inline constexpr uint32_t kLocatorMark = 0x07064B50;  // where that record is
inline constexpr size_t kLocatorBytes = 20;

inline constexpr uint64_t kFull = 0xFFFFFFFF;  // the number is in the field with 64-bit numbers
inline constexpr uint16_t kLargeField = 1;     // which is this extra field

inline constexpr uint16_t kStored = 0, kDeflated = 8;           // methods
inline constexpr uint16_t kEncrypted = 1, kUtf8Name = 1 << 11;  // flags

}  // namespace linnet::zip
