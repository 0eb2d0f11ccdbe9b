#pragma once
// QCustomPlot. Its header uses Qt's keywords, which are off here because TBB has a function called
// emit.

#define signals Q_SIGNALS
#define slots Q_SLOTS
#define foreach Q_FOREACH
#include <qcustomplot.h>
#undef signals
#undef slots
#undef foreach
