#include <mosquitto.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

// What Swift's Glibc does not show: the flags are an enumeration in C, and prctl takes any number of arguments.
static inline int earshot_mqtt_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }
static inline void earshot_mqtt_name_thread(const char *name) { prctl(PR_SET_NAME, name); }
