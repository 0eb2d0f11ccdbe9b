#include "arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iostream>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/layer_list.h"

namespace po = boost::program_options;

namespace kvsieve::cli {
namespace {

constexpr unsigned kHelpWidth = 100;
constexpr unsigned kDescriptionWidth = 62;

/// Boost takes -1 for the largest unsigned number.
void refuse_negative_seeds(const po::parsed_options& parsed) {
  for (const po::option& option : parsed.options) {
    const po::option_description* description =
        parsed.description->find_nothrow(option.string_key, false);
    if (description == nullptr || option.value.empty() || !option.value[0].starts_with('-') ||
        dynamic_cast<const po::typed_value<std::uint64_t>*>(description->semantic().get()) ==
            nullptr) {
      continue;
    }
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} is {}, expected 0 or more", option.string_key, option.value[0]));
  }
}

}  // namespace

Arguments::Arguments(std::string usage, std::string summary, std::vector<std::string> examples)
    : m_usage(std::move(usage)), m_summary(std::move(summary)), m_examples(std::move(examples)) {}

po::options_description_easy_init Arguments::options(const std::string& group) {
  for (auto& [name, description] : m_groups) {
    if (name == group) {
      return description.add_options();
    }
  }
  m_groups.emplace_back(group, po::options_description(group, kHelpWidth, kDescriptionWidth));
  return m_groups.back().second.add_options();
}

void Arguments::positional(const std::string& name, int limit) {
  m_hidden.add_options()(name.c_str(), po::value<std::vector<std::string>>());
  m_positional.add(name.c_str(), limit);
}

bool Arguments::parse(const std::vector<std::string>& arguments) {
  if (std::any_of(arguments.begin(), arguments.end(),
                  [](const std::string& word) { return word == "--help" || word == "-h"; })) {
    print_help();
    return false;
  }
  po::options_description all;
  all.add(m_hidden);
  for (const auto& [name, description] : m_groups) {
    all.add(description);
  }
  const std::string help =
      fmt::format("`kvsieve {} --help` lists the options", m_usage.substr(0, m_usage.find(' ')));
  try {
    // Guessing of abbreviated options is off: a new option must never change what a script means.
    const int style =
        po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::parsed_options parsed =
        po::command_line_parser(arguments).options(all).positional(m_positional).style(style).run();
    refuse_negative_seeds(parsed);
    po::store(parsed, m_values);
    po::notify(m_values);
  } catch (const po::unknown_option& error) {
    const std::string given = error.get_option_name();
    const std::string word = given.substr(0, given.find('='));
    std::vector<std::string> options = names();
    for (std::string& option : options) {
      option.insert(0, "--");
    }
    const std::string near = nearest(word, options);
    throw Error(ErrorKind::kUsage, fmt::format("unknown option {}", word),
                near.empty() ? help : fmt::format("did you mean {}?", near));
  } catch (const po::too_many_positional_options_error&) {
    throw Error(ErrorKind::kUsage, "too many arguments", "usage: kvsieve " + m_usage);
  } catch (const po::error& error) {
    throw Error(ErrorKind::kUsage, error.what(), help);
  }
  for (const auto& option : m_hidden.options()) {
    if (!has(option->long_name())) {
      continue;
    }
    const auto values = get<std::vector<std::string>>(option->long_name());
    if (std::find(values.begin(), values.end(), "") != values.end()) {
      throw Error(ErrorKind::kUsage, fmt::format("the {} is an empty name", option->long_name()),
                  "usage: kvsieve " + m_usage);
    }
  }
  return true;
}

std::vector<std::string> Arguments::names() const {
  std::vector<std::string> names;
  for (const auto& [group, description] : m_groups) {
    for (const auto& option : description.options()) {
      names.push_back(option->long_name());
    }
  }
  return names;
}

bool Arguments::is_switch(const std::string& name) const {
  for (const auto& [group, description] : m_groups) {
    if (const po::option_description* option = description.find_nothrow(name, false)) {
      return option->semantic()->max_tokens() == 0;
    }
  }
  return false;
}

bool Arguments::has(const std::string& name) const {
  return m_values.count(name) > 0;
}

bool Arguments::given(const std::string& name) const {
  return has(name) && !m_values[name].defaulted();
}

std::vector<std::string> Arguments::list(const std::string& name) const {
  return has(name) ? get<std::vector<std::string>>(name) : std::vector<std::string>{};
}

std::int64_t Arguments::at_least(std::int64_t least, const std::string& name) const {
  const auto value = get<std::int64_t>(name);
  if (value < least) {
    throw Error(ErrorKind::kUsage,
                fmt::format("--{} is {}, expected {} or more", name, value, least));
  }
  return value;
}

void Arguments::print_help() const {
  std::cout << "Usage: kvsieve " << m_usage << "\n\n" << m_summary << "\n";
  if (!m_examples.empty()) {
    std::cout << "\nExamples:\n";
    for (const std::string& example : m_examples) {
      std::cout << "  " << example << "\n";
    }
  }
  for (const auto& [name, description] : m_groups) {
    std::cout << "\n" << description;
  }
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    parts.emplace_back(text.substr(begin, comma - begin));
    begin = comma + 1;
  }
  return parts;
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

std::vector<std::int64_t> chosen_layers(std::string_view text, std::int64_t model_layers) {
  return text == "all" ? std::vector<std::int64_t>{} : traces::parse_layer_list(text, model_layers);
}

}  // namespace kvsieve::cli
