#include "common/jpeg_decode.hpp"

#include <fmt/format.h>

#include <array>
#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>
// clang-format off
#include <jpeglib.h>  // wants FILE
#include <jerror.h>
// clang-format on

#include "common/error.hpp"
#include "common/png_image.hpp"

namespace guda {
namespace {

/// What libjpeg calls when it finds a fault: it must not return, and C code lies between it and us.
struct JpegFaults {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  std::array<char, JMSG_LENGTH_MAX> text{};
};

[[noreturn]] void give_up(j_common_ptr codec) {
  auto* const faults = reinterpret_cast<JpegFaults*>(codec->err);
  codec->err->format_message(codec, faults->text.data());
  std::longjmp(faults->back, 1);
}

/// libjpeg goes on after damage and fills in grey: for training data that is a fault. Bytes between segments are none.
void judge(j_common_ptr codec, int level) {
  if (level < 0 && codec->err->msg_code != JWRN_EXTRANEOUS_DATA) give_up(codec);
}

void silent(j_common_ptr) {}

/// One decoder. Its members outlive the long jumps, which pass over no destructor: between setjmp and the calls that
/// may jump there are only trivial objects.
class JpegDecoder {
 public:
  JpegDecoder() {
    codec_.err = jpeg_std_error(&faults_.manager);
    faults_.manager.error_exit = give_up;
    faults_.manager.emit_message = judge;
    faults_.manager.output_message = silent;
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&codec_); }

  /// Width and height of the output, or false with fault().
  bool begin(std::string_view bytes, unsigned reduction) {
    if (setjmp(faults_.back) != 0) return false;  // NOLINT(cert-err52-cpp)
    jpeg_create_decompress(&codec_);
    jpeg_mem_src(&codec_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&codec_, TRUE);
    codec_.scale_num = 1;
    codec_.scale_denom = reduction;
    codec_.out_color_space = JCS_RGB;
    codec_.dct_method = JDCT_ISLOW;
    codec_.do_fancy_upsampling = TRUE;
    jpeg_calc_output_dimensions(&codec_);
    return true;
  }

  /// Fills `out`, 3 x width x height bytes.
  bool read(std::uint8_t* out) {
    if (setjmp(faults_.back) != 0) return false;  // NOLINT(cert-err52-cpp)
    jpeg_start_decompress(&codec_);
    while (codec_.output_scanline < codec_.output_height) {
      JSAMPROW row = out + std::size_t{codec_.output_scanline} * codec_.output_width * 3;
      jpeg_read_scanlines(&codec_, &row, 1);
    }
    jpeg_finish_decompress(&codec_);
    return true;
  }

  [[nodiscard]] const jpeg_decompress_struct& codec() const { return codec_; }
  [[nodiscard]] std::string fault() const { return faults_.text.data(); }

 private:
  jpeg_decompress_struct codec_{};
  JpegFaults faults_{};
};

}  // namespace

RgbPicture decode_jpeg(std::string_view bytes, const std::filesystem::path& file, unsigned reduction) {
  JpegDecoder decoder;
  if (!decoder.begin(bytes, reduction))
    throw Error(fmt::format("{}: damaged JPEG: {}", file.string(), decoder.fault()));
  const std::uint64_t pixels = std::uint64_t{decoder.codec().image_width} * decoder.codec().image_height;
  if (pixels > kMaxPngPixels) {
    throw Error(fmt::format("{}: {} x {} pixels are more than the {} allowed", file.string(),
                            decoder.codec().image_width, decoder.codec().image_height, kMaxPngPixels));
  }
  if (decoder.codec().jpeg_color_space == JCS_CMYK || decoder.codec().jpeg_color_space == JCS_YCCK)
    throw Error(file.string() + ": has CMYK colours; save it as RGB");
  RgbPicture picture{decoder.codec().output_width, decoder.codec().output_height, {}};
  picture.pixels.resize(std::size_t{picture.width} * picture.height * 3);
  if (!decoder.read(picture.pixels.data()))
    throw Error(fmt::format("{}: damaged JPEG: {}", file.string(), decoder.fault()));
  return picture;
}

}  // namespace guda
