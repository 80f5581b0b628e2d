// SPDX-License-Identifier: MIT
#include "efi/dev/keyboard_layout.h"

#include "core/status.h"
#include "efi/dev/text.h"

namespace axiom::efi {
namespace {

enum : uint32_t {
    kBackspace = 0x0e,
    kTab = 0x0f,
    kEnter = 0x1c,
    kControl = 0x1d,
    kLeftShift = 0x2a,
    kRightShift = 0x36,
    kPadStar = 0x37,
    kAlt = 0x38,
    kSpace = 0x39,
    kCapsLock = 0x3a,
    kPad7 =
        0x47,  // the first of the number pad; arrows and their neighbours are the same, extended
    kPadEnd = 0x53,
    kSlash = 0x35,
};

// The keys with characters, row by row: those of a letter board, in the order of the strings below.
constexpr uint8_t kCodes[] = {
    0x29, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x10, 0x11, 0x12,
    0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24,
    0x25, 0x26, 0x27, 0x28, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x56};

struct Level3 {
    uint8_t code;
    char16_t point;
};
// Accents that wait for a letter are written as combining marks. A blank is no character.
struct Layout {
    std::u16string_view plain, shifted;
    Level3 alt_gr[20];
};

constexpr Layout kUs = {u"`1234567890-=qwertyuiop[]asdfghjkl;'\\zxcvbnm,./\\",
                        u"~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:\"|ZXCVBNM<>?|",
                        {}};
constexpr Layout kUk = {u"`1234567890-=qwertyuiop[]asdfghjkl;'#zxcvbnm,./\\",
                        u"\u00ac!\"\u00a3$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~ZXCVBNM<>?|",
                        {{0x29, u'\u00a6'},
                         {0x05, u'\u20ac'},
                         {0x1e, u'\u00e1'},
                         {0x12, u'\u00e9'},
                         {0x17, u'\u00ed'},
                         {0x18, u'\u00f3'},
                         {0x16, u'\u00fa'}}};
constexpr Layout kDe = {
    u"\u03021234567890\u00df\u0301qwertzuiop\u00fc+asdfghjkl\u00f6\u00e4#yxcvbnm,.-<",
    u"\u00b0!\"\u00a7$%&/()=?\u0300QWERTZUIOP\u00dc*ASDFGHJKL\u00d6\u00c4'YXCVBNM;:_>",
    {{0x03, u'\u00b2'},
     {0x04, u'\u00b3'},
     {0x08, u'{'},
     {0x09, u'['},
     {0x0a, u']'},
     {0x0b, u'}'},
     {0x0c, u'\\'},
     {0x10, u'@'},
     {0x12, u'\u20ac'},
     {0x1b, u'~'},
     {0x32, u'\u00b5'},
     {0x56, u'|'}}};
constexpr Layout kFr = {
    u"\u00b2&\u00e9\"'(-\u00e8_\u00e7\u00e0)=azertyuiop\u0302$qsdfghjklm\u00f9*wxcvbn,;:!<",
    u" 1234567890\u00b0+AZERTYUIOP\u0308\u00a3QSDFGHJKLM%\u00b5WXCVBN?./\u00a7>",
    {{0x03, u'~'},
     {0x04, u'#'},
     {0x05, u'{'},
     {0x06, u'['},
     {0x07, u'|'},
     {0x08, u'`'},
     {0x09, u'\\'},
     {0x0a, u'^'},
     {0x0b, u'@'},
     {0x0c, u']'},
     {0x0d, u'}'},
     {0x12, u'\u20ac'},
     {0x1b, u'\u00a4'}}};
static_assert(kUs.plain.size() == sizeof kCodes && kUs.shifted.size() == sizeof kCodes);
static_assert(kUk.plain.size() == sizeof kCodes && kUk.shifted.size() == sizeof kCodes);
static_assert(kDe.plain.size() == sizeof kCodes && kDe.shifted.size() == sizeof kCodes);
static_assert(kFr.plain.size() == sizeof kCodes && kFr.shifted.size() == sizeof kCodes);

const Layout& layout_of(Keymap keymap) {
    switch (keymap) {
        case Keymap::us:
            return kUs;
        case Keymap::uk:
            return kUk;
        case Keymap::de:
            return kDe;
        case Keymap::fr:
            return kFr;
    }
    AXIOM_PANIC("keymap");
}

struct Accent {
    char16_t mark, alone;
    std::u16string_view letters, composed;
};
constexpr Accent kAccents[] = {
    {u'\u0300', u'`', u"aeiouAEIOU",
     u"\u00e0\u00e8\u00ec\u00f2\u00f9\u00c0\u00c8\u00cc\u00d2\u00d9"},
    {u'\u0301', u'\u00b4', u"aeiouyAEIOUY",
     u"\u00e1\u00e9\u00ed\u00f3\u00fa\u00fd\u00c1\u00c9\u00cd\u00d3\u00da\u00dd"},
    {u'\u0302', u'^', u"aeiouAEIOU",
     u"\u00e2\u00ea\u00ee\u00f4\u00fb\u00c2\u00ca\u00ce\u00d4\u00db"},
    {u'\u0308', u'\u00a8', u"aeiouyAEIOU",
     u"\u00e4\u00eb\u00ef\u00f6\u00fc\u00ff\u00c4\u00cb\u00cf\u00d6\u00dc"},
};

const Accent* accent_of(uint32_t mark) {
    for (const Accent& accent : kAccents) {
        if (accent.mark == mark) return &accent;
    }
    return nullptr;
}

// What a key that is no character sends; empty for one that sends nothing.
std::string_view special(uint32_t code) {
    constexpr uint32_t kExtended = KeyboardLayout::kExtended;
    switch (code) {
        case kBackspace:
            return "\x7f";
        case kTab:
            return "\t";
        case kEnter:
        case kEnter | kExtended:
            return "\r";
        case 0x47 | kExtended:
            return "\x1b[H";
        case 0x48 | kExtended:
            return "\x1b[A";
        case 0x4b | kExtended:
            return "\x1b[D";
        case 0x4d | kExtended:
            return "\x1b[C";
        case 0x4f | kExtended:
            return "\x1b[F";
        case 0x50 | kExtended:
            return "\x1b[B";
        case 0x53 | kExtended:
            return "\x1b[3~";
        default:
            return {};
    }
}

}  // namespace

std::string_view KeyboardLayout::key(uint32_t code, bool pressed) {
    const bool extended = (code & kExtended) != 0;
    switch (code) {
        case kLeftShift:
        case kRightShift:
            shift_[code == kRightShift] = pressed;
            return {};
        case kControl:
        case kControl | kExtended:
            control_[extended] = pressed;
            return {};
        case kAlt | kExtended:
            alt_gr_ = pressed;
            return {};
        case kCapsLock:
            caps_ = caps_ != pressed;
            return {};
        default:
            break;
    }
    if (!pressed) return {};
    if (const std::string_view bytes = special(code); !bytes.empty()) {
        dead_ = 0;
        return bytes;
    }
    const uint32_t point = character(code);
    if (point == 0) return {};
    if (control_[0] || control_[1]) {
        dead_ = 0;
        const uint32_t letter = point | 0x20;
        return letter >= 'a' && letter <= 'z' ? out(letter & 0x1f) : std::string_view();
    }
    return type(point);
}

// By the layout and the keys that are held; 0: none.
uint32_t KeyboardLayout::character(uint32_t code) const {
    constexpr std::string_view kPad = "789-456+1230.";
    if (code == kSpace) return ' ';
    if (code == (kSlash | kExtended)) return '/';
    if (code == kPadStar) return '*';
    if (code >= kPad7 && code <= kPadEnd) return uint8_t(kPad[code - kPad7]);
    const Layout& layout = layout_of(keymap_);
    for (size_t i = 0; i < sizeof kCodes; i++) {
        if (kCodes[i] != code) continue;
        const uint32_t plain = layout.plain[i], shifted = layout.shifted[i];
        if (alt_gr_) {
            for (const Level3& level : layout.alt_gr) {
                if (level.code == code) return level.point;
            }
            return 0;
        }
        // Caps Lock is for letters only.
        const bool is_letter =
            shifted + 0x20 == plain && (plain >= 0xe0 || (plain >= 'a' && plain <= 'z'));
        const bool is_shifted = (shift_[0] || shift_[1]) != (caps_ && is_letter);
        const uint32_t point = is_shifted ? shifted : plain;
        return point == ' ' ? 0 : point;
    }
    return 0;
}

std::string_view KeyboardLayout::type(uint32_t point) {
    const Accent* const waiting = accent_of(dead_);
    dead_ = 0;
    if (waiting == nullptr) {
        if (accent_of(point) == nullptr) return out(point);
        dead_ = point;
        return {};
    }
    // The accent twice, or before a blank: the accent alone.
    if (point == ' ' || point == waiting->mark) return out(waiting->alone);
    const size_t i =
        point < 0x10000 ? waiting->letters.find(char16_t(point)) : waiting->letters.npos;
    if (i != waiting->letters.npos) return out(waiting->composed[i]);
    const Accent* const other = accent_of(point);
    return out(waiting->alone, other != nullptr ? other->alone : point);
}

std::string_view KeyboardLayout::out(uint32_t first, uint32_t second) {
    size_t n = encode_utf8(first, bytes_);
    if (second != 0) n += encode_utf8(second, bytes_ + n);
    return {bytes_, n};
}

std::string_view ScanCodes::feed(uint8_t byte) {
    if (n_to_skip_ > 0) {
        n_to_skip_--;
        return {};
    }
    if (byte == 0xe0) {
        extended_ = true;
        return {};
    }
    const bool extended = extended_;
    extended_ = false;
    // Not scan codes: answers of the keyboard, to commands and to its own test.
    if (byte == 0xfa || byte == 0xfe || byte == 0xee || byte == 0x00 || byte == 0xff) return {};
    if (byte == 0xe1) {
        n_to_skip_ = 2;
        return {};
    }
    const uint32_t code = byte & 0x7f;
    // Shifts that keyboards make up around the arrows, so that old programs see a number pad.
    if (extended && (code == kLeftShift || code == kRightShift)) return {};
    return layout_.key(code | (extended ? KeyboardLayout::kExtended : 0), (byte & 0x80) == 0);
}

}  // namespace axiom::efi
