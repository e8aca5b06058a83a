/* The example of iotda_cancel_trigger: a signal handler that ends a call. */
#include <iotda.h>

#include <signal.h>

static iotda_cancel_t *cancel; // of iotda_cancel_new, made before the handler is installed

static void on_interrupt(int number) {
    (void)number;
    iotda_cancel_trigger(cancel);
}

int main(void) {
    cancel = iotda_cancel_new();
    signal(SIGINT, on_interrupt);
    raise(SIGINT);
    iotda_cancel_free(cancel);
    return 0;
}
