/* version.h - the release, as health, the API document and aragora version say it. */
#ifndef ARAGORA_VERSION_H
#define ARAGORA_VERSION_H

#define ARAGORA_VERSION "2.0.3"

#endif
