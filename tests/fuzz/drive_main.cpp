// A plain driver for fuzz targets where there is no libFuzzer: runs the corpus, then mutates it for a while.
//   fuzz_journal CORPUS [--seconds S] [--seed N] [--input FILE]
// S counts processor time, so that a busy machine does not shorten it.
// A crash or an input that takes 20 s leaves the input in fuzz-crash.bin and exits with a failure; --input runs it
// again.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "common/clock.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kMaxInput = 16 << 10;
constexpr rlim_t kMemory = rlim_t{1} << 30;  // an input of kilobytes that asks for more is a bug

std::string current;

/// Only async-signal-safe calls: the process is dying.
void save_and_die(int number) {
  const char* name = "fuzz-crash.bin";
  const int fd = ::creat(name, 0644);
  if (fd >= 0) static_cast<void>(!::write(fd, current.data(), current.size()));
  const char* text =
      number == SIGALRM ? "fuzz: hangs; input in fuzz-crash.bin\n" : "fuzz: crash; input in fuzz-crash.bin\n";
  static_cast<void>(!::write(2, text, std::strlen(text)));
  ::signal(number, SIG_DFL);
  number == SIGALRM ? ::_exit(1) : static_cast<void>(::raise(number));
}

void run(const std::string& input) {
  current = input;
  ::alarm(20);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
  ::alarm(0);
}

class Mutator {
 public:
  Mutator(std::vector<std::string> corpus, std::uint64_t seed) : corpus_(std::move(corpus)), random_(seed) {}

  std::string next() {
    std::string text = pick();
    for (std::size_t i = 0, times = 1 + below(6); i < times; ++i) change(text);
    if (text.size() > kMaxInput) text.resize(kMaxInput);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random_() % n); }
  const std::string& pick() { return corpus_[below(corpus_.size())]; }

  void change(std::string& text) {
    static constexpr std::uint64_t kNumbers[] = {0,
                                                 1,
                                                 2,
                                                 0x7f,
                                                 0x80,
                                                 0xff,
                                                 0x7fff,
                                                 0xffff,
                                                 0x7fffffff,
                                                 0x80000000,
                                                 0xffffffff,
                                                 0x7fffffffffffffff,
                                                 0x8000000000000000,
                                                 0xffffffffffffffff,
                                                 0xffffffffffffffc8};
    const std::size_t at = below(text.size() + 1);
    switch (below(9)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 2:
        text.insert(at, 1 + below(4), static_cast<char>(below(256)));
        break;
      case 3:
        text.erase(at, 1 + below(16));
        break;
      case 4: {  // a number where there may have been one
        const std::uint64_t number = kNumbers[below(std::size(kNumbers))];
        const std::size_t width = std::size_t{1} << below(4);
        if (at + width <= text.size()) std::memcpy(text.data() + at, &number, width);
        break;
      }
      case 5: {  // the same in words
        const std::string number = std::to_string(kNumbers[below(std::size(kNumbers))]);
        std::size_t digit = text.find_first_of("0123456789", at);
        if (digit == std::string::npos) break;
        std::size_t end = digit;
        while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
        text.replace(digit, end - digit, number);
        break;
      }
      case 6: {  // a piece of another one
        const std::string& other = pick();
        const std::size_t from = below(other.size() + 1);
        text.insert(at, other.substr(from, 1 + below(64)));
        break;
      }
      case 7:
        text.insert(at, text.substr(below(text.size() + 1), 1 + below(64)));
        break;
      default:
        text.resize(at);
    }
  }

  std::vector<std::string> corpus_;
  std::mt19937_64 random_;
};

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

int main(int argc, char** argv) {
  std::filesystem::path folder, input;
  double seconds = 3;
  std::uint64_t seed = std::random_device{}();
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool more = i + 1 < argc;
    if (word == "--seconds" && more) seconds = std::atof(argv[++i]);
    else if (word == "--seed" && more) seed = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--input" && more) input = argv[++i];
    else folder = word;
  }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit memory{kMemory, kMemory};
  ::setrlimit(RLIMIT_AS, &memory);
#endif
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGALRM}) ::signal(number, save_and_die);
  if (!input.empty()) {
    run(read(input));
    return 0;
  }
  std::vector<std::string> corpus{""};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) corpus.push_back(read(entry.path()));
  if (corpus.size() < 3) {
    std::fprintf(stderr, "fuzz: no corpus in %s\n", folder.c_str());
    return 2;
  }
  std::sort(corpus.begin(), corpus.end());
  for (const std::string& text : corpus) run(text);
  Mutator mutator(corpus, seed);
  std::uint64_t count = corpus.size();
  const double until = guda::process_cpu_seconds() + seconds;
  for (; guda::process_cpu_seconds() < until; ++count) run(mutator.next());
  std::printf("fuzz: %llu inputs from %zu of the corpus, seed %llu, no crash\n", static_cast<unsigned long long>(count),
              corpus.size(), static_cast<unsigned long long>(seed));
  return 0;
}
