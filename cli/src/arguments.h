#pragma once
// Option tables on Boost.Program_options: one table feeds parsing, help and suggestions.

#include <boost/program_options.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvsieve/traces/nearest.h"

namespace kvsieve::cli {

/// The options and positional arguments of one verb.
class Arguments {
 public:
  /// @param usage after "kvsieve ", e.g. "run TRACE [options]"
  /// @param examples lines shown first in the help text
  Arguments(std::string usage, std::string summary, std::vector<std::string> examples);

  /// Groups of options, shown in order; add with options("Group")("name", value, "text").
  boost::program_options::options_description_easy_init options(const std::string& group);

  /// Positional arguments go to option `name`, at most `limit` of them (-1: any number).
  void positional(const std::string& name, int limit);

  /// Parses. Returns false if help was asked for and printed. Throws Error(kUsage) with the nearest
  /// option's name as a hint where one is close.
  [[nodiscard]] bool parse(const std::vector<std::string>& arguments);

  /// Names of all options, in the order of the help text.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Whether the option takes no value. False for an option that does not exist.
  [[nodiscard]] bool is_switch(const std::string& name) const;

  [[nodiscard]] bool has(const std::string& name) const;    ///< given or defaulted
  [[nodiscard]] bool given(const std::string& name) const;  ///< given by the user
  template <class T>
  [[nodiscard]] T get(const std::string& name) const {
    return m_values[name].as<T>();
  }
  /// The values of an option that may repeat; none if it was not given.
  [[nodiscard]] std::vector<std::string> list(const std::string& name) const;
  /// A whole number. Throws Error(kUsage) if it is less than `least`.
  [[nodiscard]] std::int64_t at_least(std::int64_t least, const std::string& name) const;

 private:
  void print_help() const;

  std::string m_usage;
  std::string m_summary;
  std::vector<std::string> m_examples;
  std::vector<std::pair<std::string, boost::program_options::options_description>> m_groups;
  boost::program_options::options_description m_hidden;
  boost::program_options::positional_options_description m_positional;
  boost::program_options::variables_map m_values;
};

using traces::nearest;

/// The parts of a text between commas; one empty part of an empty text.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text);

/// The whole number that a text is, or nothing.
[[nodiscard]] std::optional<std::int64_t> whole_number(std::string_view text);

/// The value of --layers for a model of `model_layers` layers; empty for "all", which means all
/// captured ones. Errors as traces::parse_layer_list.
[[nodiscard]] std::vector<std::int64_t> chosen_layers(std::string_view text,
                                                      std::int64_t model_layers);

}  // namespace kvsieve::cli
