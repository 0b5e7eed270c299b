#include "common/hdf5/h5.hpp"

#include <hdf5.h>
#include <hdf5_hl.h>

#include <cstdlib>
#include <functional>
#include <numeric>
#include <type_traits>

#include "common/error.hpp"
#include "common/files.hpp"

namespace guda::hdf5 {
namespace {

static_assert(std::is_same_v<hid_t, std::int64_t>, "HDF5 1.10 or later");

/// The error stack, innermost call last; empties it.
std::string stack_text() {
  std::string text;
  const auto append = [](unsigned, const H5E_error2_t* entry, void* out) -> herr_t {
    auto& result = *static_cast<std::string*>(out);
    if (!result.empty()) result += "; ";
    result += std::string(entry->func_name) + ": " + entry->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, append, &text);
  H5Eclear2(H5E_DEFAULT);
  // The drivers of HDF5 put errno into words only: "errno = 28, error message = ...".
  if (const std::size_t at = text.find("errno = "); at != std::string::npos)
    text += errno_cure(std::atoi(text.c_str() + at + 8));
  return text.empty() ? "no details" : text;
}

/// HDF5 would print its stack to stderr, over progress bars and under no control of the caller.
void silence() {
  static const bool done = [] {
    H5open();
    return H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;
  }();
  static_cast<void>(done);
}

template <class Result>
Result check(Result result, const std::string& doing) {
  if (result < 0) throw IoError("HDF5 failed to " + doing + ": " + stack_text());
  return result;
}

Handle own(hid_t id, herr_t (*close)(hid_t), const std::string& doing) { return Handle(check(id, doing), close); }

template <class T>
hid_t memory_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_NATIVE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return H5T_NATIVE_DOUBLE;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_NATIVE_UINT8;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_NATIVE_INT32;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_NATIVE_INT64;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_NATIVE_UINT64;
}

template <class T>
hid_t stored_type() {
  if constexpr (std::is_same_v<T, float>) return H5T_IEEE_F32LE;
  if constexpr (std::is_same_v<T, double>) return H5T_IEEE_F64LE;
  if constexpr (std::is_same_v<T, std::uint8_t>) return H5T_STD_U8LE;
  if constexpr (std::is_same_v<T, std::int32_t>) return H5T_STD_I32LE;
  if constexpr (std::is_same_v<T, std::int64_t>) return H5T_STD_I64LE;
  if constexpr (std::is_same_v<T, std::uint64_t>) return H5T_STD_U64LE;
}

Handle string_type() {
  Handle type = own(H5Tcopy(H5T_C_S1), H5Tclose, "copy a string type");
  check(H5Tset_size(type.get(), H5T_VARIABLE), "set a string size");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "set a character set");
  return type;
}

Handle file_access() {
  silence();
  Handle list = own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "create a property list");
  check(H5Pset_libver_bounds(list.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18), "set format bounds");
  check(H5Pset_file_locking(list.get(), false, true), "switch file locking off");
  check(H5Pset_fclose_degree(list.get(), H5F_CLOSE_STRONG), "set the close degree");
  // Without the sieve buffer a row reaches the file in the order in which it was written.
  check(H5Pset_sieve_buf_size(list.get(), 0), "set the sieve buffer");
  return list;
}

Handle dataset_creation() {
  Handle list = own(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "create a property list");
  check(H5Pset_layout(list.get(), H5D_CONTIGUOUS), "set the layout");
  check(H5Pset_alloc_time(list.get(), H5D_ALLOC_TIME_EARLY), "set the allocation time");
  check(H5Pset_obj_track_times(list.get(), false), "switch time stamps off");
  return list;
}

Handle create_attribute(hid_t owner, const std::string& key, hid_t type) {
  const Handle space = own(H5Screate(H5S_SCALAR), H5Sclose, "create a scalar");
  return own(H5Acreate2(owner, key.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
             "create attribute " + key);
}

void write_text_attribute(hid_t owner, const std::string& key, const std::string& text) {
  const Handle type = string_type();
  const Handle attribute = create_attribute(owner, key, type.get());
  const char* pointer = text.c_str();
  check(H5Awrite(attribute.get(), type.get(), &pointer), "write attribute " + key);
}

template <class T>
void write_number_attribute(hid_t owner, const std::string& key, T value) {
  const Handle attribute = create_attribute(owner, key, stored_type<T>());
  check(H5Awrite(attribute.get(), memory_type<T>(), &value), "write attribute " + key);
}

}  // namespace

std::vector<std::uint64_t> Dataset::shape() const {
  const Handle space = own(H5Dget_space(handle_.get()), H5Sclose, "read the shape of " + name_);
  const int rank = check(H5Sget_simple_extent_ndims(space.get()), "read the rank of " + name_);
  std::vector<hsize_t> sizes(static_cast<std::size_t>(rank));
  check(H5Sget_simple_extent_dims(space.get(), sizes.data(), nullptr), "read the shape of " + name_);
  return {sizes.begin(), sizes.end()};
}

template <class T>
void Dataset::write(const std::vector<std::uint64_t>& first, const std::vector<std::uint64_t>& count, const T* values) {
  const std::vector<hsize_t> start(first.begin(), first.end()), size(count.begin(), count.end());
  if (std::accumulate(size.begin(), size.end(), hsize_t{1}, std::multiplies<>()) == 0) return;
  const Handle space = own(H5Dget_space(handle_.get()), H5Sclose, "read the shape of " + name_);
  check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, size.data(), nullptr),
        "select rows of " + name_);
  const Handle memory =
      own(H5Screate_simple(static_cast<int>(size.size()), size.data(), nullptr), H5Sclose, "describe rows of " + name_);
  check(H5Dwrite(handle_.get(), memory_type<T>(), memory.get(), space.get(), H5P_DEFAULT, values), "write " + name_);
}

template <class T>
std::vector<T> Dataset::read() const {
  const auto sizes = shape();
  std::vector<T> values(std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{1}, std::multiplies<>()));
  if (values.empty()) return values;
  check(H5Dread(handle_.get(), memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), "read " + name_);
  return values;
}

std::vector<std::string> Dataset::read_strings() const {
  const Handle space = own(H5Dget_space(handle_.get()), H5Sclose, "read the shape of " + name_);
  const auto size = check(H5Sget_simple_extent_npoints(space.get()), "read the shape of " + name_);
  if (size == 0) return {};
  const Handle type = string_type();
  std::vector<char*> pointers(static_cast<std::size_t>(size), nullptr);
  check(H5Dread(handle_.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), "read " + name_);
  std::vector<std::string> values;
  values.reserve(pointers.size());
  for (const char* pointer : pointers) values.emplace_back(pointer == nullptr ? "" : pointer);
  H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, pointers.data());
  return values;
}

void Dataset::set_attribute(const std::string& key, const std::string& text) {
  write_text_attribute(handle_.get(), key, text);
}

void Dataset::set_attribute(const std::string& key, double value) { write_number_attribute(handle_.get(), key, value); }

template <class T>
void Dataset::set_fill_attribute(T value) {
  write_number_attribute(handle_.get(), "_FillValue", value);
}

void Dataset::make_scale(const std::string& name) {
  check(H5DSset_scale(handle_.get(), name.c_str()), "make " + name_ + " a dimension scale");
}

void Dataset::attach_scale(unsigned dimension, const Dataset& scale) {
  check(H5DSattach_scale(handle_.get(), scale.handle_.get(), dimension), "attach " + scale.name_ + " to " + name_);
}

File File::create(const std::filesystem::path& path) {
  const Handle access = file_access();
  const Handle creation = own(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "create a property list");
  check(H5Pset_obj_track_times(creation.get(), false), "switch time stamps off");
  return {own(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()), H5Fclose,
              "create " + path.string() + " (is the directory there and writable, the disk not full?)"),
          path};
}

File File::open_for_reading(const std::filesystem::path& path) {
  const Handle access = file_access();
  return {own(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose, "open " + path.string()), path};
}

File File::open_for_writing(const std::filesystem::path& path) {
  const Handle access = file_access();
  return {own(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose, "open " + path.string() + " for writing"),
          path};
}

template <class T>
Dataset File::create_dataset(const std::string& name, const std::vector<std::uint64_t>& shape, T fill) {
  const std::vector<hsize_t> sizes(shape.begin(), shape.end());
  const Handle space =
      own(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose, "describe " + name);
  const Handle creation = dataset_creation();
  check(H5Pset_fill_value(creation.get(), memory_type<T>(), &fill), "set the fill value of " + name);
  check(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_ALLOC), "set the fill time of " + name);
  return {own(H5Dcreate2(handle_.get(), name.c_str(), stored_type<T>(), space.get(), H5P_DEFAULT, creation.get(),
                         H5P_DEFAULT),
              H5Dclose, "create " + name + " in " + path_.string()),
          name};
}

Dataset File::create_strings(const std::string& name, const std::vector<std::string>& values) {
  const hsize_t size = values.size();
  const Handle space = own(H5Screate_simple(1, &size, nullptr), H5Sclose, "describe " + name);
  const Handle creation = dataset_creation();
  const Handle type = string_type();
  Handle dataset =
      own(H5Dcreate2(handle_.get(), name.c_str(), type.get(), space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
          H5Dclose, "create " + name + " in " + path_.string());
  std::vector<const char*> pointers;
  pointers.reserve(values.size());
  for (const std::string& value : values) pointers.push_back(value.c_str());
  if (!values.empty()) {
    check(H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, pointers.data()), "write " + name);
  }
  return {std::move(dataset), name};
}

Dataset File::dataset(const std::string& name) const {
  return {own(H5Dopen2(handle_.get(), name.c_str(), H5P_DEFAULT), H5Dclose,
              "open data set " + name + " of " + path_.string()),
          name};
}

bool File::has(const std::string& name) const {
  return check(H5Lexists(handle_.get(), name.c_str(), H5P_DEFAULT), "look for " + name + " in " + path_.string()) > 0;
}

std::vector<std::string> File::names() const {
  H5G_info_t info{};
  check(H5Gget_info(handle_.get(), &info), "list " + path_.string());
  std::vector<std::string> names;
  for (hsize_t i = 0; i < info.nlinks; ++i) {
    const auto name_at = [&](char* buffer, std::size_t size) {
      return check(H5Lget_name_by_idx(handle_.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, buffer, size, H5P_DEFAULT),
                   "list " + path_.string());
    };
    std::string name(static_cast<std::size_t>(name_at(nullptr, 0)), '\0');
    name_at(name.data(), name.size() + 1);
    names.push_back(std::move(name));
  }
  return names;
}

void File::set_attribute(const std::string& key, const std::string& text) {
  write_text_attribute(handle_.get(), key, text);
}

void File::set_attribute(const std::string& key, std::int64_t value) {
  write_number_attribute(handle_.get(), key, value);
}

void File::set_attribute(const std::string& key, double value) { write_number_attribute(handle_.get(), key, value); }

std::vector<std::pair<std::string, std::string>> File::text_attributes() const {
  std::vector<std::pair<std::string, std::string>> found;
  H5O_info_t info{};
  check(H5Oget_info(handle_.get(), &info), "list the attributes of " + path_.string());
  for (hsize_t i = 0; i < info.num_attrs; ++i) {
    const Handle attribute =
        own(H5Aopen_by_idx(handle_.get(), ".", H5_INDEX_NAME, H5_ITER_INC, i, H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
            "open an attribute of " + path_.string());
    const Handle type = own(H5Aget_type(attribute.get()), H5Tclose, "read an attribute of " + path_.string());
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) <= 0) continue;
    std::string name(static_cast<std::size_t>(check(H5Aget_name(attribute.get(), 0, nullptr), "read a name")), '\0');
    check(H5Aget_name(attribute.get(), name.size() + 1, name.data()), "read a name");
    const Handle space = own(H5Aget_space(attribute.get()), H5Sclose, "read attribute " + name);
    const Handle memory = string_type();
    char* text = nullptr;
    check(H5Aread(attribute.get(), memory.get(), &text), "read attribute " + name);
    found.emplace_back(std::move(name), text == nullptr ? "" : text);
    H5Dvlen_reclaim(memory.get(), space.get(), H5P_DEFAULT, &text);
  }
  return found;
}

void File::flush() { check(H5Fflush(handle_.get(), H5F_SCOPE_LOCAL), "flush " + path_.string()); }

#define GUDA_INSTANTIATE(T)                                                                                        \
  template void Dataset::write<T>(const std::vector<std::uint64_t>&, const std::vector<std::uint64_t>&, const T*); \
  template std::vector<T> Dataset::read<T>() const;                                                                \
  template void Dataset::set_fill_attribute<T>(T);                                                                 \
  template Dataset File::create_dataset<T>(const std::string&, const std::vector<std::uint64_t>&, T);
GUDA_INSTANTIATE(float)
GUDA_INSTANTIATE(double)
GUDA_INSTANTIATE(std::uint8_t)
GUDA_INSTANTIATE(std::int32_t)
GUDA_INSTANTIATE(std::int64_t)
GUDA_INSTANTIATE(std::uint64_t)
#undef GUDA_INSTANTIATE

}  // namespace guda::hdf5
