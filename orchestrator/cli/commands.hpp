#pragma once
// One function a command: takes the arguments behind its name, returns the exit code, throws Error for what the user
// can mend.
#include <string>
#include <vector>

namespace guda::cli {

using Arguments = std::vector<std::string>;

int run_command(const Arguments& arguments);
int plan_command(const Arguments& arguments);
int status_command(const Arguments& arguments);
int explain_command(const Arguments& arguments);
int retry_command(const Arguments& arguments);
int stop_command(const Arguments& arguments);
int verify_command(const Arguments& arguments);
int gc_command(const Arguments& arguments);
int compare_command(const Arguments& arguments);
int evaluate_command(const Arguments& arguments);
int report_command(const Arguments& arguments);
int export_command(const Arguments& arguments);
int attribute_command(const Arguments& arguments);
int submit_command(const Arguments& arguments);
int requeue_command(const Arguments& arguments);
int simulate_command(const Arguments& arguments);
int doctor_command(const Arguments& arguments);
int bench_device_command(const Arguments& arguments);
int methods_command(const Arguments& arguments);
int config_reference_command(const Arguments& arguments);

}  // namespace guda::cli
