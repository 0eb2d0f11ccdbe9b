#include "core/session.h"

#include <fmt/format.h>

#include <QByteArray>
#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <nlohmann/json.hpp>

#include "kvsieve/traces/error.h"
#include "kvsieve/traces/output_file.h"

namespace kvsieve::gui {
namespace {

using nlohmann::ordered_json;
constexpr const char* kSchema = "kvsieve.session/1";

ordered_json to_json(const ViewState& view) {
  const Selection& selection = view.selection;
  ordered_json json = {{"heads", ordered_json::array()},
                       {"filter", view.filter.toStdString()},
                       {"zoom", ordered_json::object()}};
  for (const HeadId& head : selection.heads) {
    json["heads"].push_back({head.layer, head.head});
  }
  if (selection.current) {
    json["current"] = {selection.current->layer, selection.current->head};
  }
  if (selection.tokens) {
    json["tokens"] = {selection.tokens->begin, selection.tokens->end};
  }
  if (selection.step) {
    json["step"] = *selection.step;
  }
  for (const auto& [plot, zoom] : view.zoom) {
    json["zoom"][plot.toStdString()] = {zoom.x_low, zoom.x_high, zoom.y_low, zoom.y_high};
  }
  return json;
}

HeadId head_of(const ordered_json& json) {
  return {json.at(0).get<std::int64_t>(), json.at(1).get<std::int64_t>()};
}

ViewState view_of(const ordered_json& json) {
  ViewState view;
  std::vector<HeadId> heads;
  for (const ordered_json& head : json.at("heads")) {
    heads.push_back(head_of(head));
  }
  view.selection = select_heads({}, std::move(heads), false);
  if (json.contains("current") && view.selection.contains(head_of(json["current"]))) {
    view.selection.current = head_of(json["current"]);
  }
  if (json.contains("tokens")) {
    const HeadId pair = head_of(json["tokens"]);
    view.selection.tokens = TokenRange{pair.layer, pair.head};
  }
  if (json.contains("step")) {
    view.selection.step = json["step"].get<std::int64_t>();
  }
  view.filter = QString::fromStdString(json.at("filter").get<std::string>());
  for (const auto& [plot, zoom] : json.at("zoom").items()) {
    view.zoom[QString::fromStdString(plot)] = {zoom.at(0).get<double>(), zoom.at(1).get<double>(),
                                               zoom.at(2).get<double>(), zoom.at(3).get<double>()};
  }
  return view;
}

}  // namespace

void write_session(const QString& path, const Session& session) {
  const QDir folder = QFileInfo(path).absoluteDir();
  ordered_json json = {{"schema", kSchema},
                       {"files", ordered_json::array()},
                       {"options", session.options},
                       {"view", to_json(session.view)},
                       {"page", session.page.toStdString()},
                       {"layout", session.layout.toBase64().toStdString()}};
  for (const QString& file : session.files) {
    json["files"].push_back(folder.relativeFilePath(file).toStdString());
  }
  traces::write_file(path.toStdString(), json.dump(2) + '\n', true);
}

Session read_session(const QString& path) {
  QFile file(path);
  if (!file.open(QIODevice::ReadOnly)) {
    throw Error(ErrorKind::kBadInput, fmt::format("{}: cannot read it ({})", path.toStdString(),
                                                  file.errorString().toStdString()));
  }
  try {
    const ordered_json json = ordered_json::parse(file.readAll().toStdString());
    if (json.at("schema") != kSchema) {
      throw Error(ErrorKind::kBadInput,
                  fmt::format("{}: its schema is {}, expected {}", path.toStdString(),
                              json["schema"].dump(), kSchema));
    }
    Session session;
    const QDir folder = QFileInfo(path).absoluteDir();
    for (const ordered_json& name : json.at("files")) {
      session.files << QDir::cleanPath(
          folder.absoluteFilePath(QString::fromStdString(name.get<std::string>())));
    }
    session.options = json.at("options").get<RunOptions>();
    session.view = view_of(json.at("view"));
    session.page = QString::fromStdString(json.at("page").get<std::string>());
    session.layout =
        QByteArray::fromBase64(QByteArray::fromStdString(json.at("layout").get<std::string>()));
    return session;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ErrorKind::kBadInput,
                fmt::format("{}: is no session file ({})", path.toStdString(), error.what()));
  }
}

}  // namespace kvsieve::gui
