#include "jobs/experiment_json.hpp"

#include "jobs/json_codec.hpp"

namespace guda::jobs {

#define GUDA_DEFINE(T)                                                        \
  void to_json(Json& j, const T& c) { j = codec::encode(c); }                 \
  void from_json(const Json& j, T& c) { codec::decode(j, std::string(), c); } \
  /**/
GUDA_CONFIG_STRUCTS(GUDA_DEFINE)
#undef GUDA_DEFINE

}  // namespace guda::jobs
