#include "common/protocol.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <random>

namespace guda {

TEST_CASE("protocol: every message survives encoding and decoding") {
  const std::vector<Message> all{message::Hello{"token", "node", "node/cpu1", 42},
                                 message::Beat{true, {3, 2}, 10, 100, 0.5, 12.5},
                                 message::Done{{3, 2}, 1.5, {"0001-1.seg", 56, 112, 7}, {{"loss", 0.1}}},
                                 message::Failed{{3, 2}, ErrorClass::divergence, "NaN at step 7"},
                                 message::Returned{{3, 2}},
                                 message::Ready{},
                                 message::Assign{{3, 2}},
                                 message::Cancel{{3, 2}},
                                 message::Restart{},
                                 message::Dismiss{},
                                 message::Pulse{},
                                 message::Leaving{"its worker does not start"},
                                 message::Assign{{3, 2}, GangSeat{"guda-0123-1-3-2", 1, 2}},
                                 message::Assign{{3, 2}, std::nullopt, 17}};
  CHECK(all.size() == std::variant_size_v<Message> + 2);
  for (const Message& m : all) {
    const Message back = decode(encode(m));
    CHECK(back.index() == m.index());
    CHECK(encode(back) == encode(m));
  }
}

TEST_CASE("protocol: a lease of a gang carries its place; names and places that can't be are refused") {
  const GangSeat seat{"guda-0123-1-3-2", 1, 2};
  CHECK(std::get<message::Assign>(decode(encode(message::Assign{{3, 2}, seat}))).seat == seat);
  CHECK_FALSE(std::get<message::Assign>(decode(R"({"type":"assign","lease":[3,2]})")).seat);
  CHECK_FALSE(std::get<message::Assign>(decode(R"({"type":"assign","lease":[3,2]})")).next);
  CHECK(std::get<message::Assign>(decode(encode(message::Assign{{3, 2}, seat, 17}))).next == 17);
  for (const char* bad : {R"(["../etc", 0, 2])", R"(["guda-/x", 0, 2])", R"(["somebody", 0, 2])", R"(["guda-1", 2, 2])",
                          R"(["guda-1", 0, 1])", R"(["guda-1", 0, 65])", R"(["guda-1", 0])", R"("guda-1")"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(static_cast<void>(decode(std::string(R"({"type":"assign","lease":[3,2],"gang":)") + bad + "}")),
                    Error);
  }
}

TEST_CASE("protocol: a loss that is not a number travels as such") {
  const auto back = decode(encode(message::Beat{true, {1, 1}, 1, 2, std::nan("")}));
  CHECK(std::isnan(std::get<message::Beat>(back).loss));
}

TEST_CASE("protocol: long and broken texts are cut to valid UTF-8 instead of failing") {
  std::string text(10000, 'x');
  text += "\xff\xfe";
  const auto back = decode(encode(message::Failed{{1, 1}, ErrorClass::bug, text}));
  CHECK(std::get<message::Failed>(back).text.size() <= kMaxText);
  std::string umlauts;
  for (int i = 0; i < 3000; ++i) umlauts += "\xc3\xa4";
  const std::string cut = clip_text(umlauts);
  CHECK(Json(cut).dump().size() > 2);  // dump throws on invalid UTF-8
}

TEST_CASE("protocol: malformed bytes give an Error, never anything else") {
  const std::string good = encode(message::Done{{3, 2}, 1.5, {"0001-1.seg", 56, 112, 7}, {{"loss", 0.1}}});
  std::mt19937 random(7);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    for (unsigned k = 0; k <= random() % 4; ++k) bad[random() % bad.size()] = static_cast<char>(random() % 256);
    if (random() % 3 == 0) bad.resize(random() % bad.size());
    try {
      static_cast<void>(decode(bad));
    } catch (const Error&) {
      ++refused;
    }
  }
  CHECK(refused > 1000);
  CHECK_THROWS_AS(static_cast<void>(decode(std::string(kMaxMessage + 1, ' '))), Error);
  CHECK_THROWS_AS(static_cast<void>(decode(R"({"type":"nonsense"})")), Error);
  CHECK_THROWS_AS(static_cast<void>(decode(R"({"type":"failed","lease":[1,1],"error":99,"text":""})")), Error);
}

}  // namespace guda
