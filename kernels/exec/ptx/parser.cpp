// The outer form of a PTX module: directives, declarations and bodies.

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <charconv>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "exec/ptx/decode.h"
#include "exec/ptx/function_builder.h"
#include "exec/ptx/kernel_name.h"
#include "exec/ptx/module.h"
#include "exec/ptx/statement.h"
#include "kvsieve/traces/error.h"

namespace kvsieve::ptx {
namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '%' ||
         c == '.';
}

/// Whether a header of the CUDA toolkit has this path: below nvcc's own folder, or below an include
/// folder that the compiler was given, by its name.
bool is_of_toolkit(std::string_view path) {
  if (path.find("/bin/../") != std::string_view::npos) {
    return true;
  }
  constexpr std::string_view kIncludeFolder = "/include/";
  const std::size_t include = path.rfind(kIncludeFolder);
  if (include == std::string_view::npos) {
    return false;
  }
  const std::string_view name = path.substr(include + kIncludeFolder.size());
  constexpr std::string_view kBegins[] = {"cccl/", "cooperative_groups",      "crt/", "cuda/",
                                          "cuda_", "device_atomic_functions", "sm_"};
  return std::any_of(std::begin(kBegins), std::end(kBegins),
                     [name](std::string_view begin) { return name.starts_with(begin); });
}

/// The text with blanks instead of comments, its lines as they were.
std::string without_comments(std::string_view text) {
  std::string result(text);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (result[i] == '"') {
      while (++i < result.size() && result[i] != '"') {
      }
    } else if (result[i] == '/' && i + 1 < result.size() && result[i + 1] == '/') {
      for (; i < result.size() && result[i] != '\n'; ++i) {
        result[i] = ' ';
      }
    } else if (result[i] == '/' && i + 1 < result.size() && result[i + 1] == '*') {
      const std::size_t end = result.find("*/", i + 2);
      const std::size_t stop = end == std::string::npos ? result.size() : end + 2;
      for (; i < stop; ++i) {
        if (result[i] != '\n') {
          result[i] = ' ';
        }
      }
      --i;
    }
  }
  return result;
}

// No kernel has as much; what text may ask for stays far from what a host has.
constexpr std::uint64_t kMaxVariableBytes = std::uint64_t{1} << 30U;
constexpr std::uint64_t kMaxRegisters = std::uint64_t{1} << 20U;

/// A variable's declaration after its space: `.align 4 .b8 name[16] = {...}`.
struct Declaration {
  std::string_view name;
  Type type = Type::kB8;
  std::uint64_t bytes = 0;
  std::uint64_t alignment = 1;
  bool open = false;  ///< name[]
};

class ModuleParser {
 public:
  explicit ModuleParser(std::string_view text) : m_text(without_comments(text)) {}

  std::unique_ptr<Module> parse();

 private:
  // Positions in the text.
  void skip() {
    while (m_at < m_text.size() && is_blank(m_text[m_at])) {
      m_line += m_text[m_at] == '\n' ? 1 : 0;
      ++m_at;
    }
  }
  [[nodiscard]] char peek() {
    skip();
    return m_at < m_text.size() ? m_text[m_at] : '\0';
  }
  bool take(char c) {
    if (peek() != c || m_at == m_text.size()) {
      return false;
    }
    ++m_at;
    return true;
  }
  void expect(char c) {
    if (!take(c)) {
      refuse(fmt::format("expected '{}'", c));
    }
  }
  std::string_view word();
  std::uint64_t number();
  /// Up to the end of the line, or the stop if that comes first; the stop is taken too.
  std::string_view rest_of_line();
  std::string_view until(char stop);
  void skip_braces();
  [[noreturn]] void refuse(std::string_view what) {
    const std::size_t end = std::min(m_text.find('\n', m_at), m_text.size());
    refuse_ptx(m_line, what, std::string_view(m_text).substr(m_at, end - m_at));
  }

  void parse_directive();
  void parse_file();
  void parse_location(std::string_view rest);
  void parse_section();
  void parse_kernel();
  void parse_parameters(Function& function);
  void parse_body(Function& function);
  void parse_registers(FunctionBuilder& builder);
  Declaration parse_declaration();
  void parse_variable(bool is_extern);
  void parse_shared(bool is_extern);
  void parse_initial(Variable& variable, unsigned element_bytes);
  void resolve_files();

  std::string m_text;
  std::size_t m_at = 0;
  std::uint32_t m_line = 1;
  std::unique_ptr<Module> m_module = std::make_unique<Module>();
  ModuleNames m_names;
  // Files are named after the kernels that refer to them.
  std::map<int, std::string> m_files;
  struct SourcePlace {
    int file = 0;
    std::uint32_t caller = 0;  ///< the source that it is inlined at; 0: none
  };
  std::map<std::tuple<int, int, std::uint32_t>, std::uint32_t> m_sources;
  std::map<std::pair<int, int>, std::uint32_t> m_latest_source;
  std::vector<SourcePlace> m_source_places{{}};
  std::uint32_t m_source = 0;
};

std::string_view ModuleParser::word() {
  skip();
  const std::size_t begin = m_at;
  while (m_at < m_text.size() && is_word(m_text[m_at])) {
    ++m_at;
  }
  if (begin == m_at) {
    refuse("unexpected text");
  }
  return std::string_view(m_text).substr(begin, m_at - begin);
}

std::uint64_t ModuleParser::number() {
  std::string_view digits = word();
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    digits.remove_prefix(2);
    base = 16;
  }
  if (digits.ends_with('U')) {
    digits.remove_suffix(1);
  }
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (error != std::errc{} || end != digits.data() + digits.size()) {
    refuse_ptx(m_line, "expected a number", digits);
  }
  return value;
}

std::string_view ModuleParser::rest_of_line() {
  const std::size_t begin = m_at;
  m_at = std::min(m_text.find('\n', m_at), m_text.size());
  return std::string_view(m_text).substr(begin, m_at - begin);
}

std::string_view ModuleParser::until(char stop) {
  const std::size_t begin = m_at;
  const std::size_t end = m_text.find(stop, m_at);
  if (end == std::string::npos) {
    refuse(fmt::format("expected '{}'", stop));
  }
  m_line += static_cast<std::uint32_t>(
      std::count(m_text.begin() + static_cast<std::ptrdiff_t>(begin),
                 m_text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
  m_at = end + 1;
  return std::string_view(m_text).substr(begin, end - begin);
}

void ModuleParser::skip_braces() {
  expect('{');
  for (int depth = 1; depth > 0; ++m_at) {
    if (m_at == m_text.size()) {
      refuse("expected '}'");
    }
    const char c = m_text[m_at];
    m_line += c == '\n' ? 1 : 0;
    depth += c == '{' ? 1 : c == '}' ? -1 : 0;
  }
}

std::unique_ptr<Module> ModuleParser::parse() {
  static std::atomic<std::uint64_t> next_id{1};
  m_module->id = next_id.fetch_add(1);
  m_module->sources.emplace_back();
  if (const std::size_t zero = m_text.find('\0'); zero != std::string::npos) {
    const auto before = m_text.begin() + static_cast<std::ptrdiff_t>(zero);
    refuse_ptx(1 + static_cast<std::uint32_t>(std::count(m_text.begin(), before, '\n')),
               "a byte that is zero", "");
  }
  while (peek() != '\0') {
    parse_directive();
  }
  if (m_module->architecture == 0) {
    throw Error(ErrorKind::kBadInput, "PTX without a .target");
  }
  resolve_files();
  return std::move(m_module);
}

void ModuleParser::parse_directive() {
  bool is_extern = false;
  for (;;) {
    const std::uint32_t line = m_line;
    const std::string_view directive = word();
    if (directive == ".extern") {
      is_extern = true;
    } else if (directive == ".visible" || directive == ".weak" || directive == ".common") {
      continue;
    } else if (directive == ".version") {
      word();
      return;
    } else if (directive == ".address_size") {
      if (number() != 64) {
        refuse_ptx(line, "addresses have to have 64 bits", ".address_size");
      }
      return;
    } else if (directive == ".target") {
      // sm_90a or sm_100f: what only that chip has comes as instructions that are refused.
      const std::string_view target = word();
      int architecture = 0;
      if (!target.starts_with("sm_") ||
          std::from_chars(target.data() + 3, target.data() + target.size(), architecture).ec !=
              std::errc{}) {
        refuse_ptx(line, "expected an architecture like sm_80", target);
      }
      m_module->architecture = architecture;
      rest_of_line();
      return;
    } else if (directive == ".file") {
      parse_file();
      return;
    } else if (directive == ".section") {
      parse_section();
      return;
    } else if (directive == ".pragma") {
      until(';');
      return;
    } else if (directive == ".entry") {
      parse_kernel();
      return;
    } else if (directive == ".global" || directive == ".const") {
      parse_variable(is_extern);
      return;
    } else if (directive == ".shared") {
      parse_shared(is_extern);
      return;
    } else {
      refuse_ptx(line, "unsupported directive", directive);
    }
  }
}

void ModuleParser::parse_file() {
  const auto file = static_cast<int>(number());
  expect('"');
  m_files[file] = until('"');
  rest_of_line();
}

/// file line column[, function_name label[+offset], inlined_at file line column]
void ModuleParser::parse_location(std::string_view rest) {
  const auto next = [&rest, this] {
    while (!rest.empty() && is_blank(rest.front())) {
      rest.remove_prefix(1);
    }
    int value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc{}) {
      refuse_ptx(m_line, "expected a number", rest);
    }
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return value;
  };
  const int file = next();
  const int line = next();
  if (line == 0) {
    // Code that nvcc ascribes to no line.
    m_source = 0;
    return;
  }
  std::uint32_t caller = 0;
  constexpr std::string_view kInlinedAt = "inlined_at";
  if (const std::size_t at = rest.find(kInlinedAt); at != std::string_view::npos) {
    rest.remove_prefix(at + kInlinedAt.size());
    const int caller_file = next();
    // The caller's own location came before.
    caller = m_latest_source[{caller_file, next()}];
  }
  const auto [entry, is_new] = m_sources.try_emplace(
      {file, line, caller}, static_cast<std::uint32_t>(m_module->sources.size()));
  if (is_new) {
    m_module->sources.push_back({{}, line});
    m_source_places.push_back({file, caller});
  }
  m_source = entry->second;
  m_latest_source[{file, line}] = m_source;
}

void ModuleParser::parse_section() {
  word();
  skip_braces();
}

Declaration ModuleParser::parse_declaration() {
  const auto refuse_too_large = [this](std::string_view name) {
    refuse_ptx(m_line, fmt::format("variables have at most {} bytes", kMaxVariableBytes), name);
  };
  Declaration result;
  std::uint64_t elements = 1;
  std::optional<Type> type;
  for (;;) {
    const std::string_view directive = word();
    if (!directive.starts_with('.')) {
      result.name = directive;
      break;
    }
    if (directive == ".align") {
      result.alignment = number();
    } else if (directive == ".v2" || directive == ".v4") {
      elements *= directive == ".v2" ? 2 : 4;
    } else if (directive == ".ptr" || parse_space(directive.substr(1))) {
      continue;
    } else if (type = parse_type(directive.substr(1)); !type || *type == Type::kPred) {
      refuse_ptx(m_line, "unknown type", directive);
    }
  }
  if (!type) {
    refuse_ptx(m_line, "expected a type", result.name);
  }
  result.type = *type;
  while (take('[')) {
    if (take(']')) {
      result.open = true;
    } else {
      const std::uint64_t count = number();
      if (count > kMaxVariableBytes || elements * count > kMaxVariableBytes) {
        refuse_too_large(result.name);
      }
      elements *= count;
      expect(']');
    }
  }
  if (result.alignment == 0 || (result.alignment & (result.alignment - 1)) != 0) {
    refuse_ptx(m_line, "alignment is no power of two", result.name);
  }
  result.alignment = std::max<std::uint64_t>(result.alignment, size_of(result.type));
  result.bytes = elements * size_of(result.type);
  if (result.bytes > kMaxVariableBytes || result.alignment > kMaxVariableBytes) {
    refuse_too_large(result.name);
  }
  return result;
}

void ModuleParser::parse_initial(Variable& variable, unsigned element_bytes) {
  variable.initial.reserve(variable.bytes);
  int depth = 0;
  do {
    while (take('{')) {
      ++depth;
    }
    if (peek() == '-' || std::isdigit(static_cast<unsigned char>(peek())) != 0) {
      const std::size_t begin = m_at;
      take('-');
      word();
      const std::string text = "x " + m_text.substr(begin, m_at - begin);
      const OperandText value = parse_statement(text, m_line).operands.at(0);
      const std::size_t at = variable.initial.size();
      variable.initial.resize(at + element_bytes);
      std::memcpy(variable.initial.data() + at, &value.bits, std::min(element_bytes, 8U));
    } else if (peek() != '}') {
      refuse("unsupported initial value");
    }
    while (depth > 0 && take('}')) {
      --depth;
    }
  } while (take(','));
  if (depth > 0 || variable.initial.size() > variable.bytes) {
    refuse("initial values do not fit the variable");
  }
}

void ModuleParser::parse_variable(bool is_extern) {
  const Declaration declaration = parse_declaration();
  if (is_extern) {
    refuse_ptx(m_line, "variables of other modules are not supported", declaration.name);
  }
  Variable variable{std::string(declaration.name), declaration.bytes, declaration.alignment, {}};
  if (take('=')) {
    parse_initial(variable, size_of(declaration.type));
    if (declaration.open) {
      variable.bytes = variable.initial.size();
    }
  }
  expect(';');
  m_names.variables[declaration.name] = m_module->variables.size();
  m_module->variables.push_back(std::move(variable));
}

void ModuleParser::parse_shared(bool is_extern) {
  const Declaration declaration = parse_declaration();
  expect(';');
  m_names.shared[declaration.name] = {declaration.bytes, declaration.alignment,
                                      is_extern || declaration.open};
}

void ModuleParser::parse_kernel() {
  Function function;
  function.name = word();
  function.display_name = display_name(function.name);
  if (take('(')) {
    parse_parameters(function);
  }
  while (peek() == '.') {
    const std::string_view directive = word();
    std::uint64_t values[3] = {1, 1, 1};
    std::size_t count = 0;
    while (count < 3 && std::isdigit(static_cast<unsigned char>(peek())) != 0) {
      values[count++] = number();
      take(',');
    }
    if (directive == ".maxntid" || directive == ".reqntid") {
      function.max_threads = static_cast<std::uint32_t>(values[0] * values[1] * values[2]);
    } else if (directive != ".minnctapersm" && directive != ".maxnreg" &&
               directive != ".noreturn") {
      refuse_ptx(m_line, "unsupported directive", directive);
    }
  }
  if (take(';')) {
    return;
  }
  parse_body(function);
  const std::size_t number_of_function = m_module->functions.size();
  if (!m_module->function_of_name.emplace(function.name, number_of_function).second) {
    refuse_ptx(m_line, "kernel defined twice", function.name);
  }
  m_module->functions.push_back(std::move(function));
}

void ModuleParser::parse_parameters(Function& function) {
  if (take(')')) {
    return;
  }
  do {
    if (const std::string_view directive = word(); directive != ".param") {
      refuse_ptx(m_line, "expected .param", directive);
    }
    const Declaration declaration = parse_declaration();
    const std::size_t offset = (function.parameter_bytes + declaration.alignment - 1) /
                               declaration.alignment * declaration.alignment;
    function.parameters.push_back({std::string(declaration.name), offset, declaration.bytes});
    function.parameter_bytes = offset + declaration.bytes;
  } while (take(','));
  expect(')');
}

void ModuleParser::parse_registers(FunctionBuilder& builder) {
  const std::string_view type_name = word();
  const auto type = parse_type(type_name.substr(1));
  if (!type_name.starts_with('.') || !type) {
    refuse_ptx(m_line, "unknown type", type_name);
  }
  do {
    const std::string_view name = word();
    if (take('<')) {
      const std::uint64_t count = number();
      if (count > kMaxRegisters) {
        refuse_ptx(m_line, fmt::format("more registers than fit, at most {}", kMaxRegisters), name);
      }
      builder.declare_registers(name, static_cast<std::uint32_t>(count), *type);
      expect('>');
    } else {
      builder.declare_register(name, *type);
    }
  } while (take(','));
  expect(';');
}

void ModuleParser::parse_body(Function& function) {
  expect('{');
  FunctionBuilder builder(function, m_names);
  m_source = 0;
  for (;;) {
    const char c = peek();
    if (c == '\0') {
      refuse("the text ends within a kernel");
    }
    if (take('}')) {
      if (!builder.close_scope()) {
        break;
      }
      continue;
    }
    if (take('{')) {
      builder.open_scope();
      continue;
    }
    if (take(';')) {
      continue;
    }
    const std::uint32_t line = m_line;
    if (c == '.') {
      const std::string_view directive = word();
      if (directive == ".loc") {
        parse_location(rest_of_line());
        if (function.first_source == 0) {
          function.first_source = m_source;
        }
      } else if (directive == ".reg") {
        parse_registers(builder);
      } else if (directive == ".shared") {
        const Declaration declaration = parse_declaration();
        expect(';');
        builder.declare_shared(declaration.name,
                               {declaration.bytes, declaration.alignment, declaration.open});
      } else if (directive == ".local") {
        const Declaration declaration = parse_declaration();
        expect(';');
        builder.declare_local(declaration.name, declaration.bytes, declaration.alignment);
      } else if (directive == ".pragma") {
        until(';');
      } else {
        refuse_ptx(line, "unsupported directive", directive);
      }
      continue;
    }
    if (c != '@') {
      // A label, unless no colon follows.
      const std::size_t begin = m_at;
      const std::string_view name = word();
      if (take(':')) {
        if (!builder.declare_label(name)) {
          refuse_ptx(line, "label defined twice", name);
        }
        continue;
      }
      m_at = begin;
      m_line = line;
    }
    const Statement statement = parse_statement(until(';'), line);
    const std::size_t first = function.code.size();
    decode(statement, builder);
    for (std::size_t i = first; i < function.code.size(); ++i) {
      function.code[i].line = line;
      function.code[i].source = m_source;
    }
  }
  // A kernel's text may end without a ret.
  const Statement end = parse_statement("ret", m_line);
  decode(end, builder);
  function.code.back().line = m_line;
  builder.finish();
}

void ModuleParser::resolve_files() {
  std::vector<SourceLine>& sources = m_module->sources;
  for (std::size_t i = 1; i < sources.size(); ++i) {
    sources[i].file = m_files[m_source_places[i].file];
  }
  // The toolkit's own headers tell nobody where the code is: the innermost caller outside of them
  // does. Callers come before what is inlined at them.
  for (std::size_t i = 1; i < sources.size(); ++i) {
    const std::uint32_t caller = m_source_places[i].caller;
    if (caller != 0 && is_of_toolkit(sources[i].file)) {
      sources[i] = sources[caller];
    }
  }
}

}  // namespace

std::unique_ptr<Module> parse_module(std::string_view text) {
  return ModuleParser(text).parse();
}

}  // namespace kvsieve::ptx
