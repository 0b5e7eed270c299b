#include "common/protocol.hpp"

#include <array>

#include "common/gang_memory.hpp"

namespace guda {
namespace {

constexpr std::array kNames{"hello",  "beat",   "done",    "failed",  "returned", "ready",
                            "assign", "cancel", "restart", "dismiss", "pulse",    "leaving"};
static_assert(kNames.size() == std::variant_size_v<Message>);

Json lease_json(const Lease& l) { return Json::array({l.job, l.attempt}); }

Lease lease_from(const Json& j) {
  const Json& pair = j.at("lease");
  return {pair.at(0).get<std::uint32_t>(), pair.at(1).get<std::uint32_t>()};
}

struct Writer {
  Json& j;
  void operator()(const message::Hello& m) const {
    j["token"] = m.token;
    j["node"] = m.node;
    j["device"] = m.device;
    j["pid"] = m.pid;
  }
  void operator()(const message::Beat& m) const {
    j["busy"] = m.busy;
    j["lease"] = lease_json(m.lease);
    j["step"] = m.step;
    j["steps"] = m.steps;
    j["loss"] = m.loss;  // NaN becomes null
    j["quiet"] = m.quiet;
    j["checkpoint_in"] = m.checkpoint_in;
  }
  void operator()(const message::Done& m) const {
    j["lease"] = lease_json(m.lease);
    j["seconds"] = m.seconds;
    j["rows"] = m.rows;
    j["metrics"] = m.metrics;
  }
  void operator()(const message::Failed& m) const {
    j["lease"] = lease_json(m.lease);
    j["error"] = static_cast<unsigned>(m.error);
    j["text"] = clip_text(m.text);
  }
  void operator()(const message::Returned& m) const { j["lease"] = lease_json(m.lease); }
  void operator()(const message::Ready&) const {}
  void operator()(const message::Assign& m) const {
    j["lease"] = lease_json(m.lease);
    if (m.seat) j["gang"] = Json::array({m.seat->memory, m.seat->rank, m.seat->size});
    if (m.next) j["next"] = *m.next;
  }
  void operator()(const message::Cancel& m) const { j["lease"] = lease_json(m.lease); }
  void operator()(const message::Restart&) const {}
  void operator()(const message::Dismiss&) const {}
  void operator()(const message::Pulse&) const {}
  void operator()(const message::Leaving& m) const { j["text"] = clip_text(m.text); }
};

std::optional<GangSeat> seat_from(const Json& j) {
  if (!j.contains("gang")) return std::nullopt;
  const Json& gang = j.at("gang");
  GangSeat seat{gang.at(0).get<std::string>(), gang.at(1).get<std::uint32_t>(), gang.at(2).get<std::uint32_t>()};
  if (!is_gang_memory_name(seat.memory)) throw Error("a gang's memory has no such name");
  if (seat.size < 2 || seat.size > kMostMembers || seat.rank >= seat.size) throw Error("no such place in a gang");
  return seat;
}

Message parse(const std::string& type, const Json& j) {
  if (type == "hello") {
    return message::Hello{j.at("token").get<std::string>(), j.at("node").get<std::string>(),
                          j.at("device").get<std::string>(), j.at("pid").get<std::uint32_t>()};
  }
  if (type == "beat") {
    const Json& loss = j.at("loss");
    return message::Beat{j.at("busy").get<bool>(),
                         lease_from(j),
                         j.at("step").get<std::uint64_t>(),
                         j.at("steps").get<std::uint64_t>(),
                         loss.is_null() ? std::numeric_limits<double>::quiet_NaN() : loss.get<double>(),
                         j.at("checkpoint_in").get<double>(),
                         j.at("quiet").get<double>()};
  }
  if (type == "done")
    return message::Done{lease_from(j), j.at("seconds").get<double>(), j.at("rows").get<RowsRef>(), j.at("metrics")};
  if (type == "failed") {
    const auto error = j.at("error").get<unsigned>();
    if (error > static_cast<unsigned>(ErrorClass::bug)) throw Error("unknown error class in a message");
    return message::Failed{lease_from(j), static_cast<ErrorClass>(error), j.at("text").get<std::string>()};
  }
  if (type == "returned") return message::Returned{lease_from(j)};
  if (type == "ready") return message::Ready{};
  if (type == "assign") {
    return message::Assign{lease_from(j), seat_from(j),
                           j.contains("next") ? std::optional(j.at("next").get<std::uint32_t>()) : std::nullopt};
  }
  if (type == "cancel") return message::Cancel{lease_from(j)};
  if (type == "restart") return message::Restart{};
  if (type == "dismiss") return message::Dismiss{};
  if (type == "pulse") return message::Pulse{};
  if (type == "leaving") return message::Leaving{j.at("text").get<std::string>()};
  throw Error("unknown message type '" + type + "'");
}

}  // namespace

void to_json(Json& j, const RowsRef& rows) {
  j = {{"segment", rows.segment}, {"offset", rows.offset}, {"length", rows.length}, {"crc", rows.crc}};
}

void from_json(const Json& j, RowsRef& rows) {
  j.at("segment").get_to(rows.segment);
  j.at("offset").get_to(rows.offset);
  j.at("length").get_to(rows.length);
  j.at("crc").get_to(rows.crc);
}

std::string clip_text(std::string text) {
  if (text.size() > kMaxText) {
    text.resize(kMaxText - 4);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xC0) == 0x80) text.pop_back();
    if (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80) != 0) text.pop_back();
    text += " ...";
  }
  return text;
}

std::string encode(const Message& message) {
  Json j{{"type", kNames[message.index()]}};
  std::visit(Writer{j}, message);
  // Foreign text (exception messages of libraries) may not be UTF-8: replace rather than throw.
  std::string bytes = j.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (bytes.size() > kMaxMessage)
    throw Bug("message '" + std::string(kNames[message.index()]) + "' is larger than the protocol allows");
  return bytes;
}

Message decode(std::string_view bytes) {
  if (bytes.size() > kMaxMessage) throw Error("message larger than the protocol allows");
  try {
    const Json j = Json::parse(bytes);
    return parse(j.at("type").get<std::string>(), j);
  } catch (const Json::exception& e) {
    throw Error(std::string("malformed message: ") + e.what());
  }
}

}  // namespace guda
